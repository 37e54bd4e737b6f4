import type { Adapter } from "./adapter.ts";
import type { Device } from "../../kernels/device/device.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { GgufClass } from "../formats/gguf/model_class.ts";
import type { DecoderConfig } from "./config.ts";
import type { Layer } from "./layer.ts";
import type { ModelRecord } from "./model_record.ts";
import type { InputScheme } from "../quant/schemes.ts";
import type {
  AttentionTap,
  HeadSite,
  LayerLinear,
  LayerSite,
  LinearOutline,
  LinearRole,
  Site,
  SiteRole,
  Tap,
} from "./site.ts";

/** Shapes of tensors by their names in transformers, in the order they run. */
export type Shapes = ReadonlyMap<string, readonly number[]>;

/** Tensors by the name of the one whose rows they are. */
export type FusedTensors = ReadonlyMap<string, readonly string[]>;

/** How others store a vector: as the rows of a matrix of its name, or each in a tensor of its own. */
export interface JoinedRows {
  readonly rows: number;
  readonly names?: readonly string[];
}

/** Vectors that others store otherwise, by their names. */
export type JoinedTensors = ReadonlyMap<string, JoinedRows>;

/** A layer as its family lays it out. */
export interface LayerLayout {
  /** In the order they run. */
  readonly sites: readonly LayerSite[];
  readonly taps: Readonly<Record<AttentionTap, Tap>>;
  readonly tensors: Shapes;
  readonly joined?: JoinedTensors;
  /** See `Layout`. */
  readonly stacks?: FusedTensors;
}

/** A model as its family lays it out: names and shapes of all that a checkpoint must hold. */
export interface Layout {
  readonly tensors: Shapes;
  /** Vectors among them that others store otherwise. */
  readonly joined?: JoinedTensors;
  /** Tensor of the embedding table. */
  readonly embeddings: string;
  readonly layers: readonly LayerLayout[];
  /** Behind the last norm; its linear is the embedding table where the two are tied. */
  readonly head: HeadSite;
  /** Tensor of a head of its own, whether or not this model has one. */
  readonly ownHead: string;
  /**
   * What some checkpoints hold as one tensor and others do not, such as the matrices of all experts one
   * below the other.
   */
  readonly stacks?: FusedTensors;
}

/** Where a tensor lies in the checkpoint of a class that has other names: all of a tensor, or runs of rows. */
export interface Origin {
  readonly source: string;
  /** Rows of the source, where it is taken apart. */
  readonly rows?: number;
  /** Rows of a run; all unless said. */
  readonly size?: number;
  /** The row of the source that a run begins with. */
  firstOf?(run: number): number;
}

/** What the models of a class are that is another's under other names. */
export interface Retelling {
  /** `config.json` of that class. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Where its tensors lie, by its names. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** A sentence that says so. */
  readonly words: string;
}

/** One architecture: how its config reads, what stands where, and how a layer runs. */
export interface Family {
  /** Values of `architectures` in `config.json` that this family runs. */
  readonly architectures: readonly string[];
  /** Reads `config.json`; throws with the key and what it should be. */
  config(json: unknown): DecoderConfig;
  layout(config: DecoderConfig): Layout;
  /** What the models of this class are read as, where that is another. */
  retelling?(json: unknown, config: DecoderConfig): Retelling;
  /** Linears of a layer that others store as one, by the name it has there; its rows in order. */
  readonly fused?: Readonly<Record<string, readonly string[]>>;
  /** Whether vectors of some models are stored otherwise than they are laid out (`Layout.joined`). */
  readonly joins?: boolean;
  /** What checkpoints store the gains of norms less of, such as 1 where they hold w of 1 + w; 0 unless said. */
  readonly gainOffset?: number;
  /** Whether checkpoints may hold some tensors as one, see `Layout.stacks`. */
  readonly stacks?: true;
  /** How llama.cpp holds such models, where it does. */
  readonly gguf?: GgufClass;
  /** Reads one layer onto the device. */
  load(device: Device, model: ModelFiles, layer: number): Promise<Layer>;
}

/** A layer of an architecture. */
export interface LayerOutline extends LayerLayout {
  readonly index: number;
  /** The linears in the order they run. */
  readonly linears: readonly LayerLinear[];
  /** The site of a role; inside an expert, where one is said. */
  site(role: SiteRole, expert?: number): LayerSite;
  linear(role: LinearRole): LayerLinear;
}

/** What a model is, from its `config.json` alone. */
export interface Architecture extends Layout {
  /** The class of transformers: the first of `architectures`, or what `model_type` stands for. */
  readonly name: string;
  /** `config.json`. */
  readonly json: Readonly<Record<string, unknown>>;
  readonly family: Family;
  readonly config: DecoderConfig;
  readonly layers: readonly LayerOutline[];
  /** The sites of all layers, and the head. */
  readonly sites: readonly Site[];
  /** What checkpoints of others store as one tensor: its name, and the tensors that are its rows. */
  readonly fused: FusedTensors;
  /** The linears of all layers, layer after layer. */
  readonly linears: readonly LayerLinear[];
  /** The linear of a layer whose weight a tensor is. */
  linearOf(weight: string): LayerLinear | undefined;
  /** What may be in codes: the linears of all layers, and a head of its own behind them. */
  readonly quantizable: readonly LinearOutline[];
  /** The one of these whose weight a tensor is. */
  quantizableOf(weight: string): LinearOutline | undefined;
  /** The layer that a tensor is of. */
  layerOf(tensor: string): number | undefined;
}

/** An opened model artifact: weights are read by ranges. */
export interface ModelFiles {
  readonly checkpoint: Checkpoint;
  /** What was done to the model since it was loaded. */
  readonly record: ModelRecord;
  readonly architecture: Architecture;
  /**
   * Linears in full precision that take values which codes stand for, by their names: what calibration has of
   * a model whose inputs are quantized before its weights are.
   */
  readonly rounded?: Readonly<Record<string, InputScheme>>;
  /** LoRA adapters that tokens may go through, by their numbers from 1 on. */
  readonly adapters?: readonly Adapter[];
}
