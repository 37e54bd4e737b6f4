/** What the weights of a GGUF file say that its metadata does not. */
export interface GgufFacts {
  /** Rows of the embedding. */
  readonly vocabulary: number;
  readonly tied: boolean;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  /** Content of `rope_freqs.weight`: divisors of the rotary frequencies. */
  readonly ropeFactors: Float32Array | undefined;
}

/** How llama.cpp holds the models of a class of transformers. */
export interface GgufClass {
  /** What files name: `general.architecture`. */
  readonly architecture: string;
  /** The class that a file becomes, and its `model_type`. */
  readonly name: string;
  readonly type: string;
  /** Whether the rows of queries and keys lie as llama.cpp turns neighbours (`interleavedRow`). */
  readonly interleaved: boolean;
  /** Whether heads are of a size of their own; else they make up the hidden size. */
  readonly ownHeadSize: boolean;
  /** Parts of a layer beside those that all decoders have, GGUF to transformers. */
  readonly parts: Readonly<Record<string, string>>;
  /** What `config.json` says beside the keys that all have. */
  config(facts: GgufFacts): Readonly<Record<string, unknown>>;
}
