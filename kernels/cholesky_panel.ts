import type { Kernel, KernelCase } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import wgsl from "./cholesky_panel.wgsl" with { type: "text" };

/** Where the panel lies in the matrix, and which of its columns are made. */
export interface CholeskyPanelOptions {
  /** Row of the matrix that is the panel's first; its diagonal block starts at this column. */
  readonly first: number;
  /** The diagonal block, or the columns behind it, which need that block. */
  readonly part: "diagonal" | "behind";
}

const THREADS = 64;
/** `MOST_ROWS` of `kernels/assembly/cholesky_panel.ts`. */
const MOST_ROWS = 256;

/**
 * One panel of a blocked Cholesky factorization: rows `first` and on of a symmetric matrix H in
 * `panel` f32 [rows, columns], from which the panels before have been subtracted, become the same
 * rows of V, upper triangular with V^T V = H. What lies left of the diagonal is left as it is.
 *
 * A pivot that is not positive sets `failed` u32 [1] to 1 and counts as 1.
 */
export const choleskyPanel: Kernel<
  "panel" | "failed",
  never,
  CholeskyPanelOptions,
  "panel" | "failed"
> = {
  wgsl,
  inputs: ["panel", "failed"],
  outputs: [],
  mutates: ["panel", "failed"],
  plan({ panel }, { first, part }, limits) {
    const [rows = 0, columns = 0] = panel.shape;
    const most = Math.min(MOST_ROWS, limits.groupThreads);
    if (panel.shape.length !== 2 || rows > most || first < 0 || first + rows > columns) {
      throw new RangeError(
        `Cannot factor rows ${first} and on in ${
          describe(panel)
        }: expected [at most ${most}, at least ${first} more columns than rows]`,
      );
    }
    const DIAGONAL = part === "diagonal";
    const behind = columns - first - rows;
    return {
      outputs: {},
      constants: { DIAGONAL, THREADS: DIAGONAL ? rows : THREADS },
      params: { rows: { u32: rows }, columns: { u32: columns }, first: { u32: first } },
      grid: [DIAGONAL ? 1 : Math.ceil(behind / THREADS), 1, 1],
    };
  },
  cpu({ panel: { shape: [rows = 0, columns = 0] } }, { first, part }, { params }) {
    const diagonal = part === "diagonal";
    return {
      program: "choleskyPanel",
      tasks: diagonal ? 1 : Math.ceil((columns - first - rows) / THREADS),
      args: { ...params, task_columns: { u32: diagonal ? 0 : THREADS } },
    };
  },
  reference({ panel, failed }, { first, part }) {
    const [rows = 0, columns = 0] = panel.shape;
    const v = Float32Array.from(panel.data);
    const flag = Uint32Array.from(failed.data);
    const [from, to] = part === "diagonal" ? [first, first + rows] : [first + rows, columns];
    for (let row = 0; row < rows; row++) {
      for (let column = Math.max(from, first + row); column < to; column++) {
        let value = v[row * columns + column]!;
        for (let t = 0; t < row; t++) {
          value -= v[t * columns + first + row]! * v[t * columns + column]!;
        }
        if (column > first + row) {
          value /= v[row * columns + first + row]!;
        } else if (value > 0) {
          value = Math.sqrt(value);
        } else {
          [value, flag[0]] = [1, 1];
        }
        v[row * columns + column] = value;
      }
    }
    return { panel: { ...panel, data: v }, failed: { ...failed, data: flag } };
  },
  // Programs that compare and time nothing need none.
  get cases(): KernelCase<"panel" | "failed", CholeskyPanelOptions>[] {
    return [
      spec(1, 1, 0, "diagonal"),
      spec(8, 20, 4, "diagonal"),
      spec(128, 300, 100, "diagonal"),
      spec(8, 20, 4, "behind"),
      spec(128, 300, 100, "behind"),
      spec(44, 300, 256, "behind"),
      {
        inputs: { panel: f32([3, 3], [4, 2, 2, 9, 1, 3, 9, 9, 2]), failed: u32([1]) },
        options: { first: 0, part: "diagonal" },
      },
    ];
  },
};

/** Correlations 0.9^|i - j|, which are positive definite; for "behind", with a factor as block. */
function spec(rows: number, columns: number, first: number, part: "diagonal" | "behind") {
  const values = Float32Array.from({ length: rows * columns }, (_, index) => {
    const row = first + Math.floor(index / columns);
    const column = index % columns;
    const own = row === first ? 1 : Math.sqrt(1 - 0.9 ** 2);
    const factored = part === "behind" && column < first + rows ? own : 1;
    return factored * 0.9 ** Math.abs(row - column);
  });
  return {
    inputs: { panel: f32([rows, columns], values), failed: u32([1]) },
    options: { first, part },
  };
}
