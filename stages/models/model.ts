import type { Device, Tensor } from "../../kernels/device/device.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { openCheckpoint } from "../formats/open_checkpoint.ts";
import { type SafetensorsDType, tensorBytes } from "../formats/safetensors/header.ts";
import { type Layer, loadLayer } from "./decoder.ts";
import type { DecoderConfig, Family } from "./family.ts";
import { findFamily } from "./families/find_family.ts";
import { parametersOf } from "./model_facts.ts";
import { type ModelRecord, readModelRecord } from "./model_record.ts";
import { headName, NAMES } from "./names.ts";
import { loadVector, Weight } from "./weight.ts";

/** Sizes of a model, known from its headers alone. */
export interface Sizes {
  readonly parameters: number;
  readonly bytes: number;
}

/** A model of which some or all weights are on the device. */
export class Model implements Disposable {
  readonly config: DecoderConfig;
  readonly family: Family;
  /** What was done to the model since it was loaded. */
  readonly record: ModelRecord;
  readonly sizes: Sizes;
  /** Whether layers stay on the device once they are there. */
  readonly resident: boolean;
  /** The files behind it; closed with the model. */
  readonly checkpoint: Checkpoint;
  readonly #device: Device;
  readonly #kept = new Map<string, Layer | Weight | Tensor>();

  private constructor(
    device: Device,
    { checkpoint, record }: { readonly checkpoint: Checkpoint; readonly record: ModelRecord },
    weightBytes: number,
  ) {
    this.#device = device;
    this.checkpoint = checkpoint;
    this.record = record;
    this.family = findFamily(checkpoint.config);
    this.config = this.family.config(checkpoint.config);
    this.sizes = sizesOf(checkpoint, record);
    this.resident = this.sizes.bytes <= weightBytes;
  }

  /** Opens a model artifact; weights stay on the device while all of them fit in `weightBytes`. */
  static async open(
    path: string,
    device: Device,
    { weightBytes }: { readonly weightBytes: number },
  ): Promise<Model> {
    const record = await readModelRecord(path);
    return new Model(device, { checkpoint: await openCheckpoint(path), record }, weightBytes);
  }

  layer(layer: number): Promise<Layer> {
    const name = `layer ${layer}`;
    return this.#take(name, () => loadLayer(this.#device, this.checkpoint, this, layer));
  }

  embeddings(): Promise<Weight> {
    return this.#table(NAMES.embeddings);
  }

  head(): Promise<Weight> {
    return this.#table(headName(this.config));
  }

  finalGain(): Promise<Tensor> {
    return this.#take(NAMES.norm, () => loadVector(this.#device, this.checkpoint, NAMES.norm));
  }

  /** Says that a part is no longer used; it leaves the device unless the model is resident. */
  release(part: Layer | Weight | Tensor): void {
    if (!this.resident) part[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    for (const part of this.#kept.values()) part[Symbol.dispose]();
    this.#kept.clear();
    this.checkpoint[Symbol.dispose]();
  }

  #table(name: string): Promise<Weight> {
    return this.#take(name, () => Weight.load(this.#device, this.checkpoint, [name]));
  }

  async #take<T extends Layer | Weight | Tensor>(name: string, load: () => Promise<T>): Promise<T> {
    const kept = this.#kept.get(name);
    if (kept) return kept as T;
    const part = await load();
    if (this.resident) this.#kept.set(name, part);
    return part;
  }
}

/** The sizes of a model's weights as they are stored. */
export function sizesOf({ tensors }: Pick<Checkpoint, "tensors">, record: ModelRecord): Sizes {
  let [parameters, bytes] = [0, 0];
  for (const { name, dtype, shape } of tensors.values()) {
    parameters += parametersOf(name, shape, record);
    bytes += tensorBytes({ dtype: dtype as SafetensorsDType, shape });
  }
  return { parameters, bytes };
}
