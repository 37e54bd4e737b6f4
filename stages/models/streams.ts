import type { Device, Tensor } from "../../kernels/device/device.ts";
import { elements, f32, u32 } from "../../kernels/device/tensor.ts";
import { bytesOf } from "../formats/half.ts";
import type { Model } from "./model.ts";
import { cloneStream, startStream, type Stream } from "./stream.ts";
import { type EntryKeeper, readSum, StreamEntries, type StreamsPlace } from "./stream_entries.ts";

/** Which windows go through a model together, and where their streams are kept. */
export interface StreamsOptions {
  /** The windows that are to be taken, in this order; all unless said. */
  readonly windows?: readonly number[];
  /** How many at once; all unless said. */
  readonly most?: number;
  /** The furthest layer to begin before; the head unless said. */
  readonly from?: number;
  /** The last layer before which streams are asked for; the head unless said. */
  readonly until?: number;
  /** Keeps the streams before every layer but the first. */
  readonly journal?: EntryKeeper | undefined;
  /** Where streams lie that do not fit into some bytes on the device; all are there unless said. */
  readonly spill?: { readonly keeper: EntryKeeper; readonly memoryBytes: number };
}

/** The windows of some streams, and what a stream is like. */
interface Outline {
  readonly windows: readonly number[];
  readonly shape: readonly [tokens: number, hidden: number];
  /** Layers of the model: a place behind all of them. */
  readonly head: number;
}

/**
 * The residual streams of several windows between two layers, so that each layer is read once.
 *
 * In the journal, and where they do not fit on the device, a stream is one tensor: the sum that the
 * next layer begins with.
 */
export class Streams implements Disposable {
  /** The windows, in the order in which they go through a layer. */
  readonly windows: readonly number[];
  readonly #device: Device;
  readonly #outline: Outline;
  readonly #options: StreamsOptions;
  readonly #entries: StreamEntries | undefined;
  readonly #held = new Map<number, Stream>();
  /** How many stay on the device. */
  readonly #fit: number;
  #layer = 0;

  private constructor(device: Device, outline: Outline, options: StreamsOptions) {
    const { windows, shape } = outline;
    const { journal, spill } = options;
    const size = elements(shape);
    this.windows = windows;
    this.#device = device;
    this.#outline = outline;
    this.#options = options;
    this.#entries = journal && new StreamEntries(journal, { windows, size });
    // On the device a stream is the residual and what is not added to it yet; one more is at work.
    this.#fit = spill ? Math.floor(spill.memoryBytes / (2 * 4 * size)) - 1 : windows.length;
  }

  /**
   * Opens the streams of windows, all of one length: those that the journal has before the furthest
   * layer, else new ones at the embeddings.
   */
  static async open(
    device: Device,
    model: Model,
    texts: readonly Uint32Array[],
    options: StreamsOptions,
  ): Promise<Streams> {
    const { hidden, layers: head } = model.config;
    const { windows = [...texts.keys()], most, from = head, journal } = options;
    const shape = [texts[0]?.length ?? 0, hidden] as const;
    using stack = new DisposableStack();
    const streamsOf = (windows: readonly number[]) =>
      stack.use(new Streams(device, { windows, shape, head }, options));
    for (const place of journal ? await StreamEntries.places(journal) : []) {
      const chosen = place.windows.filter((window) => windows.includes(window));
      if (chosen.length === 0 || place.layer > from) continue;
      const streams = streamsOf(chosen);
      if (await streams.#restore(place)) {
        stack.move();
        return streams;
      }
      streams[Symbol.dispose]();
    }
    const streams = streamsOf(windows.slice(0, most));
    await streams.#embed(model, texts);
    stack.move();
    return streams;
  }

  /** The layer that the streams stand before. */
  get layer(): number {
    return this.#layer;
  }

  /** A copy of a window's stream, which is the caller's. */
  async copy(window: number): Promise<Stream> {
    const held = this.#held.get(window);
    return held ? await cloneStream(this.#device, held) : await this.#load(window);
  }

  /** Takes a window's stream out; it is the caller's. */
  async take(window: number): Promise<Stream> {
    const held = this.#held.get(window);
    this.#held.delete(window);
    return held ?? await this.#load(window);
  }

  /**
   * Puts a window's stream behind the layer; windows come in order.
   *
   * With the last one all streams stand before the next layer, and the journal has them.
   */
  async put(window: number, stream: Stream): Promise<void> {
    // Held at first in any case, so that it leaves the device whatever fails.
    this.#held.set(window, stream);
    const { head } = this.#outline;
    const { until = head } = this.#options;
    const next = this.#layer + 1;
    const index = this.windows.indexOf(window);
    const entries = next < head ? this.#entries : undefined;
    if (next > until) {
      this.#drop(window);
    } else if (entries || index >= this.#fit) {
      const sum = await this.#read(index, stream);
      if (index >= this.#fit) await this.#spill(window, sum);
      await entries?.keep(index, next);
    }
    if (index === this.windows.length - 1) this.#layer = next;
  }

  /** Lets go of all streams. */
  [Symbol.dispose](): void {
    for (const stream of this.#held.values()) stream[Symbol.dispose]();
    this.#held.clear();
  }

  async #embed(model: Model, texts: readonly Uint32Array[]): Promise<void> {
    const embeddings = await model.embeddings();
    try {
      for (const [index, window] of this.windows.entries()) {
        const ids = texts[window]!;
        using tokens = this.#device.upload(u32([ids.length], ids));
        const stream = startStream(embeddings.embed(this.#device, tokens));
        this.#held.set(window, stream);
        if (index >= this.#fit) await this.#spill(window, await this.#read(index, stream));
      }
    } finally {
      model.release(embeddings);
    }
  }

  /** Takes the windows' streams from the journal; false where they are not all there. */
  async #restore({ layer, windows }: StreamsPlace): Promise<boolean> {
    const size = elements(this.#outline.shape);
    const { journal } = this.#options;
    let read = 0;
    for await (const sum of new StreamEntries(journal!, { windows, size }).read(layer)) {
      const window = windows[read++]!;
      const index = this.windows.indexOf(window);
      if (index >= this.#fit) await this.#spill(window, sum);
      else if (index >= 0) this.#held.set(window, startStream(this.#upload(sum)));
    }
    this.#layer = layer;
    return read === windows.length;
  }

  #drop(window: number): void {
    this.#held.get(window)?.[Symbol.dispose]();
    this.#held.delete(window);
  }

  /** What a stream adds up to, in its entry's place where there is one. */
  async #read(index: number, stream: Stream): Promise<Float32Array> {
    const { shape } = this.#outline;
    const sum = this.#entries?.room(index) ?? new Float32Array(elements(shape));
    await readSum(this.#device, stream, sum);
    return sum;
  }

  async #spill(window: number, sum: Float32Array): Promise<void> {
    this.#drop(window);
    await this.#options.spill!.keeper.write(String(window), bytesOf(sum));
  }

  async #load(window: number): Promise<Stream> {
    const bytes = await this.#options.spill?.keeper.read(String(window));
    return startStream(this.#upload(new Float32Array(bytes?.buffer ?? [])));
  }

  #upload(sum: Float32Array): Tensor {
    return this.#device.upload(f32(this.#outline.shape, sum));
  }
}
