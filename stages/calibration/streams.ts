import type { Device, Tensor } from "../../kernels/device/device.ts";
import { elements, f32, u32 } from "../../kernels/device/tensor.ts";
import { bytesOf } from "../formats/half.ts";
import { cloneStream, startStream, type Stream } from "../models/stream.ts";
import type { Model } from "../models/model.ts";
import { type EntryKeeper, readSum, StreamEntries } from "../models/stream_entries.ts";

/** Where streams begin, how many stay on the device and where they are kept. */
export interface StreamsOptions {
  /** Bytes of activations kept on the device. */
  readonly memoryBytes: number;
  /** Keeps what is beyond. */
  readonly spill: EntryKeeper;
  /** Keeps the streams before every layer but the first. */
  readonly journal: EntryKeeper;
  /** Where to begin, if the journal has the streams before that layer; else at the embeddings. */
  readonly layer: number;
}

/**
 * The residual streams of several windows between two layers, so that each layer is read once.
 *
 * What exceeds the memory lies in files. There and in the journal a stream is one tensor, the sum
 * that the next layer begins with.
 */
export class Streams implements Disposable {
  readonly #device: Device;
  readonly #shape: readonly [tokens: number, hidden: number];
  readonly #layers: number;
  readonly #entries: StreamEntries;
  readonly #held: (Stream | undefined)[];
  readonly #most: number;
  readonly #spill: EntryKeeper;
  #layer = 0;

  private constructor(
    device: Device,
    { layers, count, shape }: {
      readonly layers: number;
      readonly count: number;
      readonly shape: readonly [tokens: number, hidden: number];
    },
    { memoryBytes, spill, journal }: StreamsOptions,
  ) {
    this.#device = device;
    this.#shape = shape;
    this.#layers = layers;
    this.#spill = spill;
    this.#entries = new StreamEntries(journal, { count, size: elements(shape) });
    this.#held = Array.from({ length: count });
    // On the device a stream is the residual and what is not added to it yet; one more is at work.
    this.#most = Math.floor(memoryBytes / (2 * 4 * elements(shape))) - 1;
  }

  /** Opens a stream for each window, all of one length. */
  static async open(
    device: Device,
    model: Model,
    windows: readonly Uint32Array[],
    options: StreamsOptions,
  ): Promise<Streams> {
    const { hidden, layers } = model.config;
    const shape = [windows[0]?.length ?? 0, hidden] as const;
    const streams = new Streams(device, { layers, count: windows.length, shape }, options);
    try {
      if (!await streams.#restore(options.layer)) await streams.#embed(model, windows);
      return streams;
    } catch (error) {
      streams[Symbol.dispose]();
      throw error;
    }
  }

  /** Windows in all. */
  get count(): number {
    return this.#held.length;
  }

  /** The layer that the streams stand before. */
  get layer(): number {
    return this.#layer;
  }

  /** A copy of a window's stream, which is the caller's. */
  async copy(window: number): Promise<Stream> {
    const held = this.#held[window];
    return held ? await cloneStream(this.#device, held) : await this.#load(window);
  }

  /** Takes a window's stream out; it is the caller's. */
  async take(window: number): Promise<Stream> {
    const held = this.#held[window];
    this.#held[window] = undefined;
    return held ?? await this.#load(window);
  }

  /**
   * Puts a window's stream behind the layer; windows come in order.
   *
   * With the last one all streams stand before the next layer, and the journal has them.
   */
  async put(window: number, stream: Stream): Promise<void> {
    // Held at first in any case, so that it leaves the device whatever fails.
    this.#held[window] = stream;
    const next = this.#layer + 1;
    if (next === this.#layers) {
      this.#drop(window);
    } else {
      const sum = this.#entries.room(window);
      await readSum(this.#device, stream, sum);
      if (window >= this.#most) await this.#putAway(window, sum);
      await this.#entries.keep(window, next);
    }
    if (window === this.count - 1) this.#layer = next;
  }

  /** Lets go of all streams. */
  [Symbol.dispose](): void {
    this.#clear();
  }

  async #embed(model: Model, windows: readonly Uint32Array[]): Promise<void> {
    const embeddings = await model.embeddings();
    try {
      for (const [window, ids] of windows.entries()) {
        using tokens = this.#device.upload(u32([ids.length], ids));
        const stream = startStream(embeddings.embed(this.#device, tokens));
        this.#held[window] = stream;
        if (window < this.#most) continue;
        const sum = this.#entries.room(window);
        await readSum(this.#device, stream, sum);
        await this.#putAway(window, sum);
      }
    } finally {
      model.release(embeddings);
    }
  }

  /** Takes the streams before a layer from the journal; false where they are not all there. */
  async #restore(layer: number): Promise<boolean> {
    let window = 0;
    for await (const sum of this.#entries.read(layer)) {
      if (window < this.#most) this.#held[window] = startStream(this.#upload(sum));
      else await this.#putAway(window, sum);
      window++;
    }
    this.#layer = window === this.count ? layer : 0;
    if (window < this.count) this.#clear();
    return window === this.count;
  }

  #clear(): void {
    for (const window of this.#held.keys()) this.#drop(window);
  }

  #drop(window: number): void {
    this.#held[window]?.[Symbol.dispose]();
    this.#held[window] = undefined;
  }

  async #putAway(window: number, sum: Float32Array): Promise<void> {
    this.#drop(window);
    await this.#spill.write(String(window), bytesOf(sum));
  }

  async #load(window: number): Promise<Stream> {
    const bytes = await this.#spill.read(String(window));
    return startStream(this.#upload(new Float32Array(bytes?.buffer ?? [])));
  }

  #upload(sum: Float32Array): Tensor {
    return this.#device.upload(f32(this.#shape, sum));
  }
}
