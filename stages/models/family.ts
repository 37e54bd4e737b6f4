import type { TensorSpec } from "../../kernels/device/device.ts";

/** How the angles of rotary position embedding are scaled; the names are those of transformers. */
export type RopeScaling =
  | { readonly type: "default" }
  | { readonly type: "linear"; readonly factor: number }
  | {
    readonly type: "llama3";
    readonly factor: number;
    readonly lowFrequencyFactor: number;
    readonly highFrequencyFactor: number;
    readonly originalPositions: number;
  };

/** What a decoder-only transformer is, read once from `config.json`. */
export interface DecoderConfig {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** Inner size of the MLP. */
  readonly inner: number;
  readonly vocabulary: number;
  /** Longest context the model was made for. */
  readonly positions: number;
  readonly normEps: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
  /** Whether the head is the embedding table. */
  readonly tied: boolean;
  /** Which linears of a layer have a bias. */
  readonly biases: readonly LinearRole[];
  /** Keys each layer's attention sees, where that is fewer than all. */
  readonly windows: readonly (number | undefined)[];
}

/** The linears of a layer. */
export type LinearRole = "q" | "k" | "v" | "o" | "gate" | "up" | "down";

/** Where one activation feeds linears: all that an algorithm may know of an architecture. */
export interface Site {
  readonly name: string;
  readonly role: "attention.in" | "attention.out" | "mlp.in" | "mlp.out" | "head";
  /** Tensor names of the weights fed here. */
  readonly linears: readonly string[];
  /** The weight whose output channels are the input channels here. */
  readonly fedBy: string;
}

/** One architecture: how its config reads, which tensors it has, and where its sites are. */
export interface Family {
  /** Values of `architectures` in `config.json` that this family runs. */
  readonly architectures: readonly string[];
  /** Reads `config.json`; throws with the key and what it should be. */
  config(json: unknown): DecoderConfig;
  /** Every tensor a checkpoint must hold, by its transformers name, with its shape. */
  tensors(config: DecoderConfig): ReadonlyMap<string, TensorSpec["shape"]>;
  sites(config: DecoderConfig): readonly Site[];
}
