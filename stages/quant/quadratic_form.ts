import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { groupDot, matmul } from "../../kernels/mod.ts";

/** Rows of the matrix that are multiplied at a time, a multiple of 8. */
const PANEL = 256;

/** Some rows of the matrix, and the columns of theirs that count. */
interface Panel {
  readonly first: number;
  readonly begin: number;
  readonly end: number;
  readonly tensor: Tensor;
}

/**
 * A Gram matrix on the device as the form d G d^T: for an error d of a weight's row it is the
 * squared error of the outputs over all calibration tokens, without running any.
 *
 * The matrix is symmetric, so that what lies behind the diagonal counts twice and what lies before it
 * is not multiplied.
 */
export class QuadraticForm implements Disposable {
  readonly columns: number;
  readonly #device: Device;
  readonly #panels: readonly Panel[];
  readonly #owned: DisposableStack;

  /** `block` keeps only the products of columns of one group of that many, each group on its own. */
  constructor(
    device: Device,
    gram: Float32Array,
    { columns, block = columns }: { readonly columns: number; readonly block?: number },
  ) {
    this.#device = device;
    this.columns = columns;
    using stack = new DisposableStack();
    const most = Math.floor(device.limits.bindingBytes / (32 * columns)) * 8;
    const height = Math.min(most, PANEL);
    const panels: Panel[] = [];
    for (let first = 0; first < columns; first += height) {
      const behind = Math.min(columns, first + height);
      const part = gram.slice(first * columns, behind * columns);
      const whole = block === columns;
      const begin = whole ? first : first - first % block;
      const end = whole ? columns : Math.ceil(behind / block) * block;
      const place = { first, behind, columns };
      if (whole) doubleBehind(part, place);
      else keepBlocks(part, { ...place, block });
      const tensor = stack.use(
        device.upload(f32([behind - first, columns], part), "Gram matrix"),
      );
      panels.push({ first, begin, end, tensor });
    }
    this.#panels = panels;
    this.#owned = stack.move();
  }

  /** The form of each row and group of `error` f32 [rows, columns]: f32 [rows, columns / group]. */
  of(error: TensorRef, group: number): Tensor {
    using y = this.#device.empty({ dtype: "f32", shape: error.shape });
    for (const { first, begin, end, tensor } of this.#panels) {
      this.#device.run(matmul, { x: error, weight: tensor, y }, { column: first, begin, end });
    }
    return this.#device.run(groupDot, { a: error, b: y }, { group }).y;
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/** Which rows a part of the matrix has. */
interface Place {
  readonly first: number;
  readonly behind: number;
  readonly columns: number;
}

/** Doubles what lies behind the square of rows on the diagonal. */
function doubleBehind(part: Float32Array, { behind, columns }: Place): void {
  for (let start = 0; start < part.length; start += columns) {
    for (let at = start + behind; at < start + columns; at++) part[at]! *= 2;
  }
}

/** Makes products of columns of different blocks zero. */
function keepBlocks(
  part: Float32Array,
  { first, columns, block }: Place & { readonly block: number },
): void {
  for (let at = 0; at < part.length; at++) {
    const row = first + Math.floor(at / columns);
    if (Math.floor(row / block) !== Math.floor(at % columns / block)) part[at] = 0;
  }
}
