import type { Device } from "../../kernels/device/device.ts";
import { carriedAdapters, openAdapters } from "./adapters.ts";
import { readBasis } from "./basis_files.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { Architecture, ModelFiles } from "./family.ts";
import { type Sizes, sizesOf } from "./model_facts.ts";
import type { ModelRecord } from "./model_record.ts";
import { openModel } from "./architecture.ts";
import type { DecoderConfig } from "./config.ts";
import { Embeddings } from "./embeddings.ts";
import { Head } from "./head.ts";
import type { Layer } from "./layer.ts";
import { loadNorm, type Norm } from "./norm.ts";
import { codedHead, PackedHead } from "./packed_head.ts";
import { Weight } from "./weight.ts";

/** A model of which some or all weights are on the device. */
export class Model implements ModelFiles, Disposable {
  readonly architecture: Architecture;
  readonly config: DecoderConfig;
  /** What was done to the model since it was loaded. */
  readonly record: ModelRecord;
  readonly rounded?: NonNullable<ModelFiles["rounded"]>;
  readonly adapters?: NonNullable<ModelFiles["adapters"]>;
  readonly sizes: Sizes;
  /** Whether layers stay on the device once they are there. */
  readonly resident: boolean;
  readonly checkpoint: Checkpoint;
  readonly #device: Device;
  readonly #owned = new DisposableStack();
  readonly #kept = new Map<string, Disposable>();

  private constructor(device: Device, files: ModelFiles, weightBytes: number) {
    this.#device = device;
    this.checkpoint = files.checkpoint;
    this.record = files.record;
    if (files.rounded) this.rounded = files.rounded;
    if (files.adapters) this.adapters = files.adapters;
    this.architecture = files.architecture;
    this.config = files.architecture.config;
    this.sizes = sizesOf(files.checkpoint, files.architecture);
    this.resident = this.sizes.bytes <= weightBytes;
  }

  /** Opens a model artifact; weights stay on the device while all of them fit in `weightBytes`. */
  static async open(
    path: string,
    device: Device,
    { weightBytes, adapters = [] }: {
      readonly weightBytes: number;
      /** Directories of LoRA adapters; see `openAdapters()`. */
      readonly adapters?: readonly { readonly name: string; readonly path: string }[];
    },
  ): Promise<Model> {
    const files = await openModel(path);
    const opened = await openAdapters(adapters, files);
    const carried = opened.length > 0
      ? await carriedAdapters(device, opened, await readBasis(path, files.record))
      : [];
    const adapted = carried.length > 0 ? { ...files, adapters: carried } : files;
    const model = new Model(device, adapted, weightBytes);
    model.#owned.use(files);
    return model;
  }

  /** The same of files that are open and stay so. */
  static of(
    device: Device,
    files: ModelFiles,
    { weightBytes }: { readonly weightBytes: number },
  ): Model {
    return new Model(device, files, weightBytes);
  }

  layer(layer: number): Promise<Layer> {
    const name = `layer ${layer}`;
    return this.#take(name, () => this.architecture.family.load(this.#device, this, layer));
  }

  async embeddings(): Promise<Embeddings> {
    return new Embeddings(await this.#table(this.architecture.embeddings), this.config);
  }

  async head(): Promise<Head> {
    // Its weight may be the embedding table, which is taken once.
    const coded = codedHead(this);
    const weight = coded
      ? await this.#take(coded.linear.name, () => {
        return PackedHead.load(this.#device, this.checkpoint, coded);
      })
      : await this.#table(this.architecture.head.linears[0].weight);
    return new Head(weight, this.config);
  }

  /** The norm before the head, which scales logits on the way. */
  finalNorm(): Promise<Norm> {
    const { config, architecture: { head: { fedBy } } } = this;
    const how = { fedBy, config, factor: config.logitScale };
    return this.#take(fedBy.weight, () => loadNorm(this.#device, this.checkpoint, how));
  }

  /** Takes all weights onto the device, where they stay if the model is resident. */
  async loadWhole(): Promise<void> {
    await this.embeddings();
    await this.head();
    await this.finalNorm();
    for (let layer = 0; layer < this.config.layers; layer++) await this.layer(layer);
  }

  /** Says that a part is no longer used; it leaves the device unless the model is resident. */
  release(part: Layer | Embeddings | Head | Norm): void {
    if (!this.resident) part[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    for (const part of this.#kept.values()) part[Symbol.dispose]();
    this.#kept.clear();
    this.#owned.dispose();
  }

  #table(name: string): Promise<Weight> {
    return this.#take(name, () => Weight.load(this.#device, this.checkpoint, [name]));
  }

  async #take<T extends Disposable>(name: string, load: () => Promise<T>): Promise<T> {
    const kept = this.#kept.get(name);
    if (kept) return kept as T;
    const part = await load();
    if (this.resident) this.#kept.set(name, part);
    return part;
  }
}
