import type { RopeDivisors } from "./rope.ts";

/** What a GGUF file says that only some classes take up. */
export interface GgufFacts {
  /** Rows of the embedding. */
  readonly vocabulary: number;
  readonly tied: boolean;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  /** Keys that a query sees, where a file says it. */
  readonly window: number | undefined;
  /** Divisors of the rotary frequencies. */
  readonly rope: RopeDivisors;
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
  /** Whether some of a head's channels may turn alone. */
  readonly partialRotary: boolean;
  /** Whether a layer leaves queries and keys as they are, where some do. */
  readonly still?: (layer: number) => boolean;
  /** Whether llama.cpp divides its rotary frequencies by what tensors say (`ROPE_TENSORS`). */
  readonly ropeDivisors: boolean;
  /** Parts of a layer beside those that all decoders have, GGUF to transformers. */
  readonly parts: Readonly<Record<string, string>>;
  /** What `config.json` says beside the keys that all have. */
  config(facts: GgufFacts): Readonly<Record<string, unknown>>;
}
