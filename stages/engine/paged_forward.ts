import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { normalize, startStream } from "../models/stream.ts";
import { openAngles, type Places } from "../models/places.ts";
import type { Model } from "../models/model.ts";
import type { KvBatch } from "./kv_batch.ts";
import { KvPools, kvSchemes, sinksOf } from "./kv_pools.ts";

/** Where the tokens of a step stand, in their sequences and in pages. */
export interface StepPlaces extends KvBatch {
  readonly positions: TensorRef;
  /** Numbers of the tokens' adapters, u32 [tokens]. */
  readonly owners?: TensorRef | undefined;
}

/** The forward pass of a model whose keys and values lie in pages. */
export class PagedForward implements Disposable {
  readonly model: Model;
  /** First tokens of every sequence whose keys and values stay in half precision. */
  readonly sinks: number;
  readonly #device: Device;
  readonly #pools: KvPools;
  readonly #angles: ReturnType<typeof openAngles>;

  /** Takes the memory of so many pages; `context` is the longest sequence. */
  constructor(
    device: Device,
    model: Model,
    { pages, context }: { readonly pages: number; readonly context: number },
  ) {
    this.#device = device;
    this.model = model;
    this.sinks = sinksOf(model.record);
    const schemes = kvSchemes(model.config, model.record);
    this.#pools = new KvPools(device, model.config, { schemes, pages });
    this.#angles = openAngles(device, model.config, context);
  }

  /** The normalized inputs of the head for `ids` u32 [tokens], f32 [tokens, hidden]. */
  async hidden(ids: TensorRef, { positions, owners, ...batch }: StepPlaces): Promise<Tensor> {
    const device = this.#device;
    const { model } = this;
    const places: Places = { positions, angles: this.#angles.angles };
    let stream = startStream((await model.embeddings()).embed(device, ids));
    for (let layer = 0; layer < model.config.layers; layer++) {
      const pages = this.#pools.attention(layer, batch);
      const weights = await model.layer(layer);
      stream = weights.run(device, { stream, places, owners, pages });
    }
    using last = stream;
    return normalize(device, last, await model.finalNorm());
  }

  /** What the head makes of its inputs, f32 [tokens, vocabulary]. */
  async logits(hidden: TensorRef): Promise<Tensor> {
    return (await this.model.head()).apply(this.#device, hidden);
  }

  [Symbol.dispose](): void {
    this.#angles[Symbol.dispose]();
    this.#pools[Symbol.dispose]();
  }
}
