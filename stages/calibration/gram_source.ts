import type { Device } from "../../kernels/device/device.ts";
import type { Checkpoint, StoredTensor } from "../formats/checkpoint.ts";
import { bytesOf } from "../formats/half.ts";
import { dtypeOf, type NamedValues } from "../formats/safetensors/file.ts";
import type { Architecture, ModelFiles } from "../models/family.ts";
import type { Layer, Observe } from "../models/layer.ts";
import type { SiteRole } from "../models/site.ts";
import { openPlaces, type Places, settle } from "../models/places.ts";
import type { Stream } from "../models/stream.ts";
import { Model } from "../models/model.ts";
import type { ModelRecord } from "../models/model_record.ts";
import { LayerWatch } from "./layer_watch.ts";
import type { Stats } from "./stats.ts";
import type { EntryKeeper } from "../models/stream_entries.ts";
import { Streams } from "./streams.ts";

/** Where the Gram matrices of a layer's sites come from, layer after layer. */
export interface GramSource extends Disposable {
  /** Prepares a layer; layers come in order. */
  begin(layer: number, signal: AbortSignal): Promise<void>;
  /** Sum of x x^T at a site of the layer begun. */
  gram(site: SiteRole): Promise<Float32Array<ArrayBuffer>>;
  /** Says what the layer has become: tensors in place of those of the model. */
  end(tensors: ReadonlyMap<string, NamedValues>): Promise<void>;
}

/** Gram matrices that a calibrate step took from the full-precision model. */
export function statsGrams(stats: Stats, { layers }: Architecture): GramSource {
  let at = 0;
  return {
    begin(layer) {
      at = layer;
      return Promise.resolve();
    },
    gram: (site) => stats.gram(at, layers[at]!.site(site).name),
    end: () => Promise.resolve(),
    [Symbol.dispose]() {},
  };
}

/** What the Gram matrices of quantized layers rest on. */
export interface QuantizedGramsOptions {
  /** A model in full precision. */
  readonly files: ModelFiles;
  /** What `model.json` will say of the quantized one. */
  readonly record: ModelRecord;
  readonly windows: readonly Uint32Array[];
  readonly memoryBytes: number;
  /** Keeps streams that do not fit. */
  readonly spill: EntryKeeper;
  readonly sites: readonly SiteRole[];
  /** Keeps the inputs of every layer. */
  readonly journal: EntryKeeper;
  /** What a layer became that an earlier run has quantized. */
  made(layer: number): Promise<ReadonlyMap<string, NamedValues>>;
}

/** Gram matrices of the inputs that a layer gets once all layers before it are quantized. */
export class QuantizedGrams implements GramSource {
  readonly #device: Device;
  readonly #model: Model;
  readonly #options: QuantizedGramsOptions;
  readonly #places: Places & Disposable;
  #streams: Streams | undefined;
  #watch: LayerWatch | undefined;

  /** Layers of the model are run as `begin` asks for them. */
  constructor(device: Device, options: QuantizedGramsOptions) {
    this.#device = device;
    this.#model = Model.of(device, options.files, { weightBytes: 0 });
    this.#options = options;
    this.#places = openPlaces(device, this.#model.config, options.windows[0]!.length);
  }

  async begin(layer: number, signal: AbortSignal): Promise<void> {
    const { windows, sites, made } = this.#options;
    const { architecture } = this.#model;
    this.#streams ??= await Streams.open(this.#device, this.#model, windows, {
      ...this.#options,
      layer,
    });
    const streams = this.#streams;
    // They stand further back only where the journal has them no more.
    while (streams.layer < layer) await this.#advance(streams, await made(streams.layer));
    const watch = this.#watch = new LayerWatch(this.#device, architecture.layers[layer]!, {
      windows: windows.length,
      context: windows[0]!.length,
      gram: sites,
      rows: 0,
      attentionWindows: 0,
      magnitudes: false,
    });
    // The model keeps no layer, so that this one leaves the device even where a window fails.
    using weights = await this.#model.layer(layer);
    for (let window = 0; window < windows.length; window++) {
      const stream = await streams.copy(window);
      const observe = watch.observe(window);
      this.#run(weights, { stream, observe })[Symbol.dispose]();
      await settle(this.#device, this.#places);
      signal.throwIfAborted();
    }
  }

  gram(site: SiteRole): Promise<Float32Array<ArrayBuffer>> {
    return this.#watch!.gram(site);
  }

  async end(tensors: ReadonlyMap<string, NamedValues>): Promise<void> {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
    const streams = this.#streams!;
    // Nobody asks for what the last layer makes of them.
    if (streams.layer < this.#model.config.layers - 1) await this.#advance(streams, tensors);
  }

  [Symbol.dispose](): void {
    this.#watch?.[Symbol.dispose]();
    this.#places[Symbol.dispose]();
    this.#streams?.[Symbol.dispose]();
    this.#model[Symbol.dispose]();
  }

  /** Takes the streams through a layer with some of its tensors replaced. */
  async #advance(
    streams: Streams,
    tensors: ReadonlyMap<string, NamedValues>,
  ): Promise<void> {
    const { architecture } = this.#model;
    const { record } = this.#options;
    const checkpoint = replaced(this.#model.checkpoint, tensors);
    const files = { checkpoint, record, architecture };
    using weights = await architecture.family.load(this.#device, files, streams.layer);
    for (let window = 0; window < streams.count; window++) {
      await streams.put(window, this.#run(weights, { stream: await streams.take(window) }));
      await settle(this.#device, this.#places);
    }
  }

  #run(weights: Layer, options: { readonly stream: Stream; readonly observe?: Observe }): Stream {
    const places = this.#places;
    return weights.run(this.#device, { ...options, places });
  }
}

/** A checkpoint with some more tensors, held in memory. */
function replaced(
  checkpoint: Checkpoint,
  held: ReadonlyMap<string, NamedValues>,
): Checkpoint {
  const tensors = new Map<string, StoredTensor>(checkpoint.tensors);
  for (const [name, { shape, values }] of held) {
    tensors.set(name, { name, dtype: dtypeOf(values), shape, file: "memory" });
  }
  return {
    ...checkpoint,
    tensors,
    readRaw(name, rows) {
      const found = held.get(name);
      if (!found) return checkpoint.readRaw(name, rows);
      const bytes = bytesOf(found.values);
      const [all = 1] = found.shape;
      const { start, end } = rows ?? { start: 0, end: all };
      return Promise.resolve(bytes.slice(start * bytes.length / all, end * bytes.length / all));
    },
  };
}
