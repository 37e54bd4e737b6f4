import type { Device } from "../../kernels/device/device.ts";
import type { Journal } from "../../pipeline/stage.ts";
import type { Stats } from "../calibration/stats.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { Architecture } from "../models/family.ts";
import type { ChannelChange, ChannelChanges } from "../models/lineage.ts";
import type { LinearOutline } from "../models/site.ts";
import { type AxisEdit, type ChannelEdit, permuteAxis, scaleAxis } from "./edits.ts";

/** What new channels are found from. */
export interface ChannelSource {
  readonly checkpoint: Checkpoint;
  readonly architecture: Architecture;
  readonly stats: Stats;
  readonly signal: AbortSignal;
  readonly journal: Pick<Journal, "recall">;
  device(): Promise<Device>;
}

/** Tensors whose outputs change together: a linear with its bias, or the gains of a norm. */
type Outputs = Pick<LinearOutline, "weight" | "bias">;

/** New channels of a model as they are found: edits of weights, and what they do to activations. */
export class ChannelWork {
  readonly #edits = new Map<string, ChannelEdit>();
  readonly #changes = new Map<string, ChannelChange>();
  readonly #orders = new Map<string, Uint32Array<ArrayBuffer>>();

  constructor(readonly source: ChannelSource) {}

  /** Edits of weights so far, by tensor. */
  get edits(): ReadonlyMap<string, ChannelEdit> {
    return this.#edits;
  }

  /** What they do to activations, by tap. */
  get changes(): ChannelChanges {
    return this.#changes;
  }

  /** Orders into which the channels of sites are put while the model runs, by site. */
  get orders(): ReadonlyMap<string, Uint32Array<ArrayBuffer>> {
    return this.#orders;
  }

  /** Takes over what was found elsewhere. */
  add({ edits, changes, orders }: Pick<ChannelWork, "edits" | "changes" | "orders">): void {
    for (const [site, order] of orders) this.#orders.set(site, order);
    for (const [name, edit] of edits) this.#edits.set(name, edit);
    for (const [tap, change] of changes) this.#changes.set(tap, change);
  }

  /** Multiplies the outputs of a linear, with its bias, or the gains of a norm. */
  scaleOutputs(outputs: Outputs, factor: Float32Array): void {
    const wide = Float64Array.from(factor);
    this.#editOutputs(outputs, (edit) => scaleAxis(edit, "rows", wide));
  }

  /** Multiplies the input channels of a weight. */
  scaleInputs(weight: string, factor: Float32Array): void {
    const wide = Float64Array.from(factor);
    this.#edits.set(weight, scaleAxis(this.#edits.get(weight), "columns", wide));
  }

  /** Permutes the outputs of a linear, with its bias, or the gains of a norm. */
  permuteOutputs(outputs: Outputs, index: NonNullable<AxisEdit["index"]>): void {
    this.#editOutputs(outputs, (edit) => permuteAxis(edit, "rows", index));
  }

  /** Permutes the input channels of a weight. */
  permuteInputs(weight: string, index: NonNullable<AxisEdit["index"]>): void {
    this.#edits.set(weight, permuteAxis(this.#edits.get(weight), "columns", index));
  }

  /** Says what the edits do to the activation of a tap. */
  change(tap: string, change: ChannelChange): void {
    this.#changes.set(tap, change);
  }

  /** Has the channels of a site put into an order while the model runs, which changes its activation. */
  orderOnline(site: string, index: Uint32Array<ArrayBuffer>): void {
    this.#orders.set(site, index);
    this.change(site, { index });
  }

  #editOutputs(
    { weight, bias }: Outputs,
    change: (edit: ChannelEdit | undefined) => ChannelEdit,
  ): void {
    for (const name of bias === undefined ? [weight] : [weight, bias]) {
      this.#edits.set(name, change(this.#edits.get(name)));
    }
  }
}
