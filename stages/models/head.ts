import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { softCap } from "../../kernels/mod.ts";
import type { DecoderConfig } from "./config.ts";
import type { ModelFiles } from "./family.ts";
import { codedHead, PackedHead } from "./packed_head.ts";
import { Weight } from "./weight.ts";

/** The weight of a head, in whatever precision the model artifact holds; see `Head` for what it does. */
export interface HeadWeight extends Disposable {
  apply(device: Device, x: TensorRef): Tensor;
  applyRows(
    device: Device,
    x: TensorRef,
    range: { readonly first: number; readonly rows: number },
  ): Tensor;
  applyInPieces(
    device: Device,
    x: TensorRef,
    most: number,
    use: (piece: TensorRef, first: number) => void,
  ): void;
}

/** What makes logits of the normalized residual stream. */
export class Head implements Disposable {
  readonly #weight: HeadWeight;
  readonly #cap: number | undefined;

  constructor(weight: HeadWeight, { logitCap }: Pick<DecoderConfig, "logitCap">) {
    this.#weight = weight;
    this.#cap = logitCap;
  }

  /** Reads the head of a model onto the device, piece by piece. */
  static async load(device: Device, files: ModelFiles): Promise<Head> {
    const { checkpoint, architecture: { config, head: { linears: [linear] } } } = files;
    const coded = codedHead(files);
    return new Head(
      coded
        ? await PackedHead.load(device, checkpoint, coded)
        : await Weight.load(device, checkpoint, [linear.weight]),
      config,
    );
  }

  /** Logits of all tokens of the vocabulary: x f32 [tokens, hidden] to f32 [tokens, vocabulary]. */
  apply(device: Device, x: TensorRef): Tensor {
    return this.#capped(device, this.#weight.apply(device, x));
  }

  /** Logits of `rows` tokens of the vocabulary from `first` on, f32 [tokens, rows]. */
  applyRows(
    device: Device,
    x: TensorRef,
    range: { readonly first: number; readonly rows: number },
  ): Tensor {
    return this.#capped(device, this.#weight.applyRows(device, x, range));
  }

  /** Logits of at most `most` tokens of the vocabulary at a time; each piece is gone after `use`. */
  applyInPieces(
    device: Device,
    x: TensorRef,
    most: number,
    use: (piece: TensorRef, first: number) => void,
  ): void {
    this.#weight.applyInPieces(device, x, most, (piece, first) => {
      use(this.#capped(device, piece), first);
    });
  }

  [Symbol.dispose](): void {
    this.#weight[Symbol.dispose]();
  }

  /** The same logits, between both caps where the model has one. */
  #capped<T extends TensorRef>(device: Device, x: T): T {
    if (this.#cap !== undefined) device.run(softCap, { x }, { cap: this.#cap });
    return x;
  }
}
