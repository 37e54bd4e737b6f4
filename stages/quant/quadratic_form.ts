import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { groupDot, matmul } from "../../kernels/mod.ts";

/**
 * A Gram matrix on the device as the form d G d^T: for an error d of a weight's row it is the
 * squared error of the outputs over all calibration tokens, without running any.
 */
export class QuadraticForm implements Disposable {
  readonly columns: number;
  readonly #device: Device;
  readonly #panels: readonly { readonly first: number; readonly tensor: Tensor }[];
  readonly #owned: DisposableStack;

  /** `block` keeps only the products of columns of one group of that many, each group on its own. */
  constructor(
    device: Device,
    gram: Float32Array,
    { columns, block }: { readonly columns: number; readonly block?: number },
  ) {
    this.#device = device;
    this.columns = columns;
    using stack = new DisposableStack();
    const height = Math.floor(device.limits.bindingBytes / (4 * this.columns));
    const panels: { readonly first: number; readonly tensor: Tensor }[] = [];
    for (let first = 0; first < this.columns; first += height) {
      const rows = Math.min(height, this.columns - first);
      const part = gram.slice(first * this.columns, (first + rows) * this.columns);
      if (block !== undefined) keepBlocks(part, { first, columns: this.columns, block });
      const tensor = stack.use(device.upload(f32([rows, this.columns], part), "Gram matrix"));
      panels.push({ first, tensor });
    }
    this.#panels = panels;
    this.#owned = stack.move();
  }

  /** The form of each row and group of `error` f32 [rows, columns]: f32 [rows, columns / group]. */
  of(error: TensorRef, group: number): Tensor {
    using y = this.#device.empty({ dtype: "f32", shape: error.shape });
    for (const { first, tensor } of this.#panels) {
      this.#device.run(matmul, { x: error, weight: tensor, y }, { column: first });
    }
    return this.#device.run(groupDot, { a: error, b: y }, { group }).y;
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

function keepBlocks(
  part: Float32Array,
  { first, columns, block }: {
    readonly first: number;
    readonly columns: number;
    readonly block: number;
  },
): void {
  for (let at = 0; at < part.length; at++) {
    const row = first + Math.floor(at / columns);
    if (Math.floor(row / block) !== Math.floor(at % columns / block)) part[at] = 0;
  }
}
