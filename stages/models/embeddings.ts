import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import type { DecoderConfig } from "./config.ts";
import type { Weight } from "./weight.ts";

/** The embedding table, and what its rows are multiplied by. */
export class Embeddings implements Disposable {
  readonly #table: Weight;
  readonly #scale: number;

  constructor(table: Weight, { embeddingScale }: Pick<DecoderConfig, "embeddingScale">) {
    this.#table = table;
    this.#scale = embeddingScale;
  }

  /** The residual stream that tokens start with: u32 [tokens] to f32 [tokens, hidden]. */
  embed(device: Device, tokens: TensorRef): Tensor {
    return this.#table.embed(device, tokens, this.#scale);
  }

  [Symbol.dispose](): void {
    this.#table[Symbol.dispose]();
  }
}
