import type { Device } from "../../kernels/device/device.ts";
import type { Checkpoint, StoredTensor } from "../formats/checkpoint.ts";
import { bytesOf } from "../formats/half.ts";
import { dtypeOf, type NamedValues } from "../formats/safetensors_file.ts";
import {
  cloneStream,
  type LayerSite,
  loadLayer,
  openPlaces,
  type Places,
  runLayer,
  settle,
} from "../models/decoder.ts";
import { Model } from "../models/model.ts";
import type { ModelRecord } from "../models/model_record.ts";
import { LayerWatch, siteName } from "./layer_watch.ts";
import type { Stats } from "./stats.ts";
import { Streams } from "./streams.ts";

/** Where the Gram matrices of a layer's sites come from, layer after layer. */
export interface GramSource extends AsyncDisposable {
  /** Prepares a layer; layers come in order. */
  begin(layer: number, signal: AbortSignal): Promise<void>;
  /** Sum of x x^T at a site of the layer begun. */
  gram(site: LayerSite): Promise<Float32Array<ArrayBuffer>>;
  /** Says what the layer has become: tensors in place of those of the model, and their precision. */
  end(tensors: ReadonlyMap<string, NamedValues>, record: ModelRecord): Promise<void>;
}

/** Gram matrices that a calibrate step took from the full-precision model. */
export function statsGrams(stats: Stats): GramSource {
  let at = 0;
  return {
    begin(layer) {
      at = layer;
      return Promise.resolve();
    },
    gram: (site) => stats.gram(at, siteName(at, site)),
    end: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Gram matrices of the inputs that a layer gets once all layers before it are quantized. */
export class QuantizedGrams implements GramSource {
  readonly #device: Device;
  readonly #model: Model;
  readonly #streams: Streams;
  readonly #places: Places & Disposable;
  readonly #context: number;
  readonly #sites: readonly LayerSite[];
  #layer = 0;
  #watch: LayerWatch | undefined;

  private constructor(
    device: Device,
    { model, streams, context }: {
      readonly model: Model;
      readonly streams: Streams;
      readonly context: number;
    },
    sites: readonly LayerSite[],
  ) {
    this.#device = device;
    this.#model = model;
    this.#streams = streams;
    this.#context = context;
    this.#sites = sites;
    this.#places = openPlaces(device, model.config, context);
  }

  /** Starts at the embeddings of a full-precision model artifact. */
  static async open(
    device: Device,
    { path, windows, memoryBytes, sites }: {
      readonly path: string;
      readonly windows: readonly Uint32Array[];
      readonly memoryBytes: number;
      readonly sites: readonly LayerSite[];
    },
  ): Promise<QuantizedGrams> {
    using stack = new DisposableStack();
    const model = stack.use(await Model.open(path, device, { weightBytes: 0 }));
    const streams = await Streams.open(device, model, windows, { memoryBytes });
    stack.move();
    return new QuantizedGrams(device, { model, streams, context: windows[0]!.length }, sites);
  }

  async begin(layer: number, signal: AbortSignal): Promise<void> {
    this.#layer = layer;
    const watch = this.#watch = new LayerWatch(this.#device, {
      windows: this.#streams.count,
      context: this.#context,
      gram: this.#sites,
      rows: 0,
      attentionWindows: 0,
      magnitudes: false,
    });
    // The model keeps no layer, so that this one leaves the device even where a window fails.
    using weights = await this.#model.layer(layer);
    for (let window = 0; window < this.#streams.count; window++) {
      const stream = await this.#streams.take(window);
      const copy = await cloneStream(this.#device, stream);
      await this.#streams.put(window, stream);
      const observe = watch.observe(window);
      runLayer(this.#device, this.#model.config, weights, {
        stream: copy,
        places: this.#places,
        observe,
      })[Symbol.dispose]();
      await settle(this.#device, this.#places);
      signal.throwIfAborted();
    }
  }

  gram(site: LayerSite): Promise<Float32Array<ArrayBuffer>> {
    return this.#watch!.gram(site);
  }

  async end(tensors: ReadonlyMap<string, NamedValues>, record: ModelRecord): Promise<void> {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
    const { config } = this.#model;
    const checkpoint = replaced(this.#model.checkpoint, tensors);
    using weights = await loadLayer(this.#device, checkpoint, { config, record }, this.#layer);
    for (let window = 0; window < this.#streams.count; window++) {
      const stream = await this.#streams.take(window);
      const next = runLayer(this.#device, config, weights, { stream, places: this.#places });
      await this.#streams.put(window, next);
      await settle(this.#device, this.#places);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch?.[Symbol.dispose]();
    this.#places[Symbol.dispose]();
    await this.#streams[Symbol.asyncDispose]();
    this.#model[Symbol.dispose]();
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
