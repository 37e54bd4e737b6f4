import type { Device, Tensor } from "../../kernels/device/device.ts";
import { f32, zeros } from "../../kernels/device/tensor.ts";
import { addScaled, matmul, transpose } from "../../kernels/mod.ts";
import { type GptqFactor, prepare } from "./gptq_factor.ts";
import type { Matrix } from "./weight_grid.ts";

/** Columns that are solved for at a time. */
const BLOCK = 128;
/** Most bytes of rows of D that a weight is multiplied by in a launch: more take a card seconds. */
const MOST_CROSS_BYTES = 2 ** 25;

/**
 * Moves weights W to W + W D (H + l I)^-1, where H is the sum of x x^T over inputs that a quantized model
 * gives, and D that of d x^T with d what inputs of the full-precision model exceed them by.
 *
 * Of all weights it is the one with the least error of W (x + d) - W* x, with l the damping: so errors of
 * codes of W* on x are those of W's outputs in full precision, but for what no weight can take back (Zhang
 * et al. 2025, Qronos, arXiv 2505.11695).
 */
export class ShiftedTarget implements Disposable {
  readonly #device: Device;
  readonly #factor: GptqFactor;
  /** Sum of x d^T with its rows in the order of the factor. */
  readonly #cross: readonly { readonly first: number; readonly rows: Tensor }[];
  /** Inverses of the triangles on the factor's diagonal, row-major. */
  readonly #inverses: readonly Float32Array[];
  readonly #owned: DisposableStack;

  private constructor(
    device: Device,
    { factor, cross, inverses }: {
      readonly factor: GptqFactor;
      readonly cross: readonly { readonly first: number; readonly rows: Tensor }[];
      readonly inverses: readonly Float32Array[];
    },
    owned: DisposableStack,
  ) {
    this.#device = device;
    this.#factor = factor;
    this.#cross = cross;
    this.#inverses = inverses;
    this.#owned = owned;
  }

  /**
   * `gram` is H and `cross` D^T, f32 [columns, columns] with columns a multiple of 8; l is `damping` times the
   * mean of H's diagonal. Throws a `RangeError` where H does not become positive definite.
   */
  static async open(
    device: Device,
    { gram, cross, columns }: {
      readonly gram: Float32Array;
      readonly cross: Float32Array;
      readonly columns: number;
    },
    { damping }: { readonly damping: number },
  ): Promise<ShiftedTarget> {
    using stack = new DisposableStack();
    const options = { damping, block: BLOCK, activationOrder: false, columns };
    const factor = stack.use(await prepare(device, gram, options));
    const inverses: Float32Array[] = [];
    for (const [index, panel] of factor.panels.entries()) {
      const { data } = await device.read(panel);
      inverses.push(inverseTriangle(data as Float32Array, { columns, first: index * BLOCK }));
    }
    const most = Math.min(device.limits.bindingBytes, MOST_CROSS_BYTES);
    const height = Math.max(1, Math.floor(most / (4 * columns)));
    const parts = Array.from({ length: Math.ceil(columns / height) }, (_, index) => {
      const first = index * height;
      const held = Math.min(height, columns - first);
      const rows = new Float32Array(cross.length === 0 ? 0 : held * columns);
      for (let row = 0; row * columns < rows.length; row++) {
        const from = factor.places[first + row]! * columns;
        rows.set(cross.subarray(from, from + columns), row * columns);
      }
      return { first, rows: stack.use(device.upload(f32([held, columns], rows), "cross")) };
    });
    return new ShiftedTarget(device, { factor, cross: parts, inverses }, stack.move());
  }

  /** The weight that is to be rounded in the place of another. */
  async of({ rows, columns, values }: Matrix): Promise<Matrix> {
    const { places, dead } = this.#factor;
    const moved = Float32Array.from(values);
    const height = Math.max(1, Math.floor(this.#device.limits.bindingBytes / (4 * columns)));
    for (let first = 0; first < rows; first += height) {
      const held = Math.min(height, rows - first);
      const part = values.subarray(first * columns, (first + held) * columns);
      using solved = this.#solve(f32([held, columns], part));
      const { data } = await this.#device.read(solved);
      for (let at = 0; at < data.length; at++) {
        const column = places[at % columns]!;
        if (dead.has(column)) continue;
        moved[(first + Math.floor(at / columns)) * columns + column]! += data[at]!;
      }
    }
    return { rows, columns, values: moved };
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }

  /** W D (V^T V)^-1 for rows W that fit a binding, in the order of the factor. */
  #solve(weight: ReturnType<typeof f32>): Tensor {
    const device = this.#device;
    const { shape } = weight;
    const [rows = 0, columns = 0] = shape;
    const { panels } = this.#factor;
    const empty = () => device.empty({ dtype: "f32", shape });
    using w = device.upload(weight, "weight");
    using wanted = empty();
    for (const { first, rows: cross } of this.#cross) {
      device.run(matmul, { x: w, weight: cross, y: wanted }, { column: first });
    }
    // Y V = W D, from the first column on.
    using half = empty();
    using fed = device.upload(zeros({ dtype: "f32", shape }));
    for (const [index, panel] of panels.entries()) {
      const [first, held] = [index * BLOCK, panel.shape[0]!];
      using inverse = this.#inverse(index, { turned: true });
      using y = device.empty({ dtype: "f32", shape: [rows, held] });
      const range = { begin: first, end: first + held };
      device.run(matmul, { x: wanted, weight: inverse, y }, range);
      device.run(matmul, { x: wanted, weight: inverse, y: half }, { column: first, ...range });
      if (first + held === columns) break;
      using across = device.run(transpose, { x: panel }, {}).y;
      device.run(matmul, { x: y, weight: across, y: fed }, {});
      device.run(addScaled, { x: fed, sum: wanted }, { factor: -1 });
    }
    // E V^T = Y, from the last column on; what is fed back to columns that are done is not read.
    const solved = device.upload(zeros({ dtype: "f32", shape }));
    using back = device.upload(zeros({ dtype: "f32", shape }));
    for (const [index, panel] of [...panels.entries()].reverse()) {
      const [first, held] = [index * BLOCK, panel.shape[0]!];
      device.run(matmul, { x: solved, weight: panel, y: back }, { column: first, begin: first });
      device.run(addScaled, { x: back, sum: half }, { factor: -1 });
      using inverse = this.#inverse(index, { turned: false });
      const range = { column: first, begin: first, end: first + held };
      device.run(matmul, { x: half, weight: inverse, y: solved }, range);
    }
    return solved;
  }

  /** The inverse of a triangle at its columns, f32 [held, columns], or transposed there. */
  #inverse(index: number, { turned }: { readonly turned: boolean }): Tensor {
    const { columns, panels } = this.#factor;
    const [held, inverse] = [panels[index]!.shape[0]!, this.#inverses[index]!];
    const rows = new Float32Array(inverse.length === 0 ? 0 : held * columns);
    for (let at = 0; at < inverse.length; at++) {
      const [i, j] = [Math.floor(at / held), at % held];
      const [row, column] = turned ? [j, i] : [i, j];
      rows[row * columns + index * BLOCK + column] = inverse[at]!;
    }
    return this.#device.upload(f32([held, columns], rows), "inverse of a triangle");
  }
}

/** The inverse of the upper triangle of a panel at its own columns, by columns from the left. */
function inverseTriangle(
  panel: Float32Array,
  { columns, first }: { readonly columns: number; readonly first: number },
): Float32Array {
  const held = panel.length / columns;
  const inverse = new Float64Array(held * held);
  const v = (i: number, j: number) => panel[i * columns + first + j]!;
  for (let j = 0; j < held; j++) {
    inverse[j * held + j] = 1 / v(j, j);
    for (let i = j - 1; i >= 0; i--) {
      let sum = 0;
      for (let k = i + 1; k <= j; k++) sum += v(i, k) * inverse[k * held + j]!;
      inverse[i * held + j] = -sum / v(i, i);
    }
  }
  return Float32Array.from(inverse);
}
