/** What a server tells of its model. */
export interface ModelCard {
  /** Under which requests ask for it. */
  readonly name: string;
  /** The content digest of its artifact or the like; tells answers of other weights apart. */
  readonly digest: string;
  /** Its precision in words, such as `"W4A8KV4, groups of 128"`. */
  readonly scheme: string;
  /** Of its quantized weights, scales and zeros included. */
  readonly bitsPerWeight?: number;
  readonly parameters?: number;
  /** Of its weights as they lie on the device. */
  readonly bytes?: number;
  /** Positions it was trained for. */
  readonly trainedContext?: number;
  /** What it runs on, in words. */
  readonly device?: string;
  /** What quantization cost, where it was measured. */
  readonly quality?: {
    readonly perplexity: number;
    /** Of the same model in full precision. */
    readonly baseline?: number;
    /** Text, windows and context in words. */
    readonly protocol: string;
  };
}
