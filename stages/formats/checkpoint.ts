/** A tensor of a checkpoint, by its name in transformers. */
export interface StoredTensor {
  /** What is added to its values as they are stored; nothing unless said. */
  readonly offset?: number;
  readonly name: string;
  /** Element type as stored, such as `"BF16"` or `"Q4_1"`. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** The file that holds it. */
  readonly file: string;
}

/** A range of indices along the first axis of a tensor. */
export interface RowRange {
  readonly start: number;
  readonly end: number;
}

/** What makes a tokenizer: the contents of `tokenizer.json` and `tokenizer_config.json`. */
export interface TokenizerFiles {
  readonly tokenizer: unknown;
  readonly config: unknown;
}

/** An opened checkpoint: its metadata is in memory, its weights are read by ranges. */
export interface Checkpoint extends Disposable {
  readonly path: string;
  /** `config.json`, or the same rebuilt from the metadata of a GGUF file. */
  readonly config: unknown;
  readonly tokenizer: TokenizerFiles | undefined;
  /** Other small text files worth keeping, such as `"generation_config.json"`, by name. */
  readonly files: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Values of some rows of a tensor, of all unless said, widened to single precision. */
  read(name: string, rows?: RowRange): Promise<Float32Array<ArrayBuffer>>;
  /** Bytes of some rows of a tensor as stored, in the order of transformers. */
  readRaw(name: string, rows?: RowRange): Promise<Uint8Array<ArrayBuffer>>;
  /** The files the content rests on, for digests. */
  readonly sources: readonly string[];
  /** What is read otherwise than the files say, a sentence each. */
  readonly notes?: readonly string[];
  /** What an export's `provenance.json` says, where the file of weights itself has it. */
  readonly provenance?: string | undefined;
}

/** A checkpoint of headers alone: what is read of it has no values. */
export function headerCheckpoint(
  { config, tensors }: Pick<Checkpoint, "config" | "tensors">,
): Checkpoint {
  return {
    path: "none",
    config,
    tokenizer: undefined,
    files: new Map(),
    tensors,
    read: () => Promise.resolve(new Float32Array(0)),
    readRaw: () => Promise.resolve(new Uint8Array(0)),
    sources: [],
    [Symbol.dispose]() {},
  };
}

type Texts = Pick<Checkpoint, "config" | "tokenizer" | "files">;

/** Writes what a checkpoint holds beside its weights: config, tokenizer and other small files. */
export async function writeCheckpointTexts(
  { config, tokenizer, files }: Texts,
  out: string,
): Promise<void> {
  for (const [name, text] of textsOf({ config, tokenizer, files })) {
    await Deno.writeTextFile(`${out}/${name}`, text);
  }
}

/** Bytes of the same. */
export function textBytes(texts: Texts): number {
  return textsOf(texts).reduce((sum, [, text]) => sum + new TextEncoder().encode(text).length, 0);
}

/**
 * Numbers of `config.json` that transformers 5 refuses as integers: the fields of its configurations that
 * are `float` alone.
 */
const REALS = [
  "attn_logit_softcapping",
  "final_logit_softcapping",
  "initializer_range",
  "layer_norm_eps",
  "logit_scale",
  "rms_norm_eps",
  "router_aux_loss_coef",
  "router_jitter_noise",
];

/** The lines that have them as integers. */
const INTEGERS = new RegExp(`^( *"(?:${REALS.join("|")})": -?\\d+)(,?)$`, "gm");

function textsOf({ config, tokenizer, files }: Texts): (readonly [name: string, text: string])[] {
  const written = (json: unknown) => JSON.stringify(json, undefined, 2);
  return [
    ["config.json", written(config).replace(INTEGERS, "$1.0$2")],
    ...files,
    ...tokenizer
      ? [
        ["tokenizer.json", written(tokenizer.tokenizer)],
        ["tokenizer_config.json", written(tokenizer.config)],
      ] as const
      : [],
  ];
}
