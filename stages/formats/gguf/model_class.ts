import type { RopeDivisors } from "./rope.ts";

/** Experts as a GGUF file tells of them. */
export interface GgufExpertFacts {
  readonly count: number;
  readonly chosen: number;
  /** Inner sizes of an expert, and of one that all tokens go through, where files have keys for them. */
  readonly inner: number | undefined;
  readonly shared: number | undefined;
}

/** How llama.cpp runs the experts of a class, all of whose layers must have them. */
export interface GgufExperts {
  /** Whether the weights of a token's experts add up to 1. */
  readonly normalized: boolean;
  /** Whether experts have inner sizes of their own; else it is that of the MLP. */
  readonly ownInner: boolean;
}

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
  readonly experts: GgufExpertFacts | undefined;
  /** A number by its key behind the architecture, with the fewest digits that tell it from others. */
  number(key: string): number | undefined;
  /** Whether layers have a module, by its name in transformers. */
  has(module: string): boolean;
}

/** What a model says that only some classes have a place for. */
export interface GgufModel {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly headSize: number;
  readonly biases: readonly string[];
  readonly tied: boolean;
  readonly embeddingScale: number;
  readonly residualScale: number;
  readonly logitScale: number;
  readonly attentionScale: number;
  readonly attentionCap: number | undefined;
  readonly logitCap: number | undefined;
}

/** Which layers of a class attend to a window of keys in llama.cpp. */
export interface GgufWindows {
  /** Of so many layers the last one attends to all keys. */
  readonly period: number;
  /** Theta of the rotary positions in those with a window, which are not scaled; that of all unless said. */
  readonly theta?: number;
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
  /** Whether its norms take means away (LayerNorm), which has an epsilon of another name. */
  readonly layerNorm?: boolean;
  /** The layers with a window; unless said, all layers attend to all keys. */
  readonly windows?: GgufWindows;
  /** Whether llama.cpp divides its rotary frequencies by what tensors say (`ROPE_TENSORS`). */
  readonly ropeDivisors: boolean;
  /** How it runs experts, in classes that have them. */
  readonly experts?: GgufExperts;
  /** Parts of a layer beside those that all decoders have, GGUF to transformers. */
  readonly parts: Readonly<Record<string, string>>;
  /** Numbers that files say beside those that all have, by their keys behind the architecture. */
  numbers?(model: GgufModel): Readonly<Record<string, number>>;
  /** What llama.cpp computes otherwise than a model, `<what is>, expected <what should be>`. */
  differences?(model: GgufModel): readonly string[];
  /** What it computes otherwise by a rounding, to be told alone. */
  cautions?(model: GgufModel): readonly string[];
  /** What `config.json` says beside the keys that all have. */
  config(facts: GgufFacts): Readonly<Record<string, unknown>>;
}
