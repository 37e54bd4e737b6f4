import type { Device, Tensor } from "../../kernels/device/device.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { bytesOf } from "../formats/half.ts";
import { makeStream, startStream, type Stream } from "../models/decoder.ts";
import type { Model } from "../models/model.ts";

/** How many streams stay on the device. */
export interface StreamsOptions {
  /** Bytes of activations kept on the device; what is beyond goes to disk. */
  readonly memoryBytes: number;
}

/**
 * The residual streams of several windows between two layers, so that each layer is read once.
 *
 * What exceeds the memory lies in files of a temporary directory, which goes with the object.
 */
export class Streams implements AsyncDisposable {
  readonly #device: Device;
  readonly #shape: readonly [tokens: number, hidden: number];
  readonly #held: (Stream | undefined)[];
  readonly #most: number;
  #directory: string | undefined;

  private constructor(
    device: Device,
    shape: readonly [tokens: number, hidden: number],
    { count, memoryBytes }: StreamsOptions & { readonly count: number },
  ) {
    this.#device = device;
    this.#shape = shape;
    this.#held = Array.from({ length: count });
    // A stream is the residual and what is not added to it yet; one more is at work.
    this.#most = Math.floor(memoryBytes / (2 * 4 * shape[0] * shape[1])) - 1;
  }

  /** Starts a stream for each window, all of one length, at the model's embeddings. */
  static async open(
    device: Device,
    model: Model,
    windows: readonly Uint32Array[],
    { memoryBytes }: StreamsOptions,
  ): Promise<Streams> {
    const shape = [windows[0]?.length ?? 0, model.config.hidden] as const;
    const streams = new Streams(device, shape, { count: windows.length, memoryBytes });
    const embeddings = await model.embeddings();
    try {
      for (const [i, ids] of windows.entries()) {
        using tokens = device.upload(u32([ids.length], ids));
        await streams.put(i, startStream(embeddings.embed(device, tokens)));
      }
      return streams;
    } catch (error) {
      await streams[Symbol.asyncDispose]();
      throw error;
    } finally {
      model.release(embeddings);
    }
  }

  /** Windows in all. */
  get count(): number {
    return this.#held.length;
  }

  /** Takes a window's stream out; it is the caller's. */
  async take(window: number): Promise<Stream> {
    const held = this.#held[window];
    this.#held[window] = undefined;
    if (held) return held;
    const residual = await this.#load(`${window}.residual`);
    return makeStream(residual!, await this.#load(`${window}.delta`));
  }

  /** Puts a window's stream back for the next layer. */
  async put(window: number, stream: Stream): Promise<void> {
    if (window < this.#most) {
      this.#held[window] = stream;
      return;
    }
    using spilled = stream;
    this.#directory ??= await Deno.makeTempDir({ prefix: "quattuor-streams-" });
    await this.#save(`${window}.residual`, spilled.residual);
    if (spilled.delta) await this.#save(`${window}.delta`, spilled.delta);
  }

  /** Lets go of all streams and of the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const stream of this.#held.splice(0)) stream?.[Symbol.dispose]();
    if (this.#directory) await Deno.remove(this.#directory, { recursive: true });
  }

  async #save(name: string, tensor: Tensor): Promise<void> {
    const { data } = await this.#device.read(tensor);
    await Deno.writeFile(`${this.#directory}/${name}`, bytesOf(data));
  }

  async #load(name: string): Promise<Tensor | undefined> {
    const bytes = await Deno.readFile(`${this.#directory}/${name}`).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    });
    return bytes && this.#device.upload(f32(this.#shape, new Float32Array(bytes.buffer)));
  }
}
