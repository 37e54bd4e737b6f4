import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import { rowTasks } from "./parts/row_tasks.ts";
import wgsl from "./scale_by_owner.wgsl" with { type: "text" };

const THREADS = 64;

/**
 * Each row times the factors of who it belongs to: `x` f32 [rows, columns], `owners` u32 [rows], `factors`
 * f32 [owners, columns], `y`[m, j] = x[m, j] factors[owners[m], j]. With zeros it leaves each row what
 * belongs to its adapter.
 */
export const scaleByOwner: Kernel<"x" | "owners" | "factors", "y", Record<never, never>> = {
  wgsl,
  inputs: ["x", "owners", "factors"],
  outputs: ["y"],
  plan({ x, owners, factors }, _, limits) {
    const [rows = 0, columns = 0] = x.shape;
    if (
      x.shape.length !== 2 || owners.dtype !== "u32" || owners.shape.join() !== `${rows}` ||
      factors.shape.length !== 2 || factors.shape[1] !== columns || columns % 4 !== 0
    ) {
      throw new RangeError(
        `Cannot scale ${describe(x)} by ${describe(factors)} of ${
          describe(owners)
        }: expected two axes with a multiple of 4 columns, as many factors, and u32[${rows}]`,
      );
    }
    if (rows > limits.gridAxis) {
      throw new RangeError(
        `Cannot scale ${rows} rows at once: expected at most ${limits.gridAxis}`,
      );
    }
    return {
      outputs: { y: { dtype: "f32", shape: [rows, columns] } },
      constants: { THREADS },
      params: counts({ quads: columns / 4 }),
      grid: [Math.ceil(columns / 4 / THREADS), rows, 1],
    };
  },
  cpu({ x: { shape: [rows = 0, columns = 0] } }, _, { params }) {
    const { tasks, args } = rowTasks(rows, columns);
    return {
      program: "scaleByOwner",
      tasks,
      args: { ...params, ...counts({ count: rows }), ...args },
    };
  },
  reference({ x, owners, factors }) {
    const [rows = 0, columns = 0] = x.shape;
    const y = Float32Array.from({ length: rows * columns }, (_, i) => {
      const owner = owners.data[Math.floor(i / columns)]!;
      return x.data[i]! * factors.data[owner * columns + i % columns]!;
    });
    return { y: f32([rows, columns], y) };
  },
  cases: [
    {
      inputs: {
        x: f32([2, 4], [1, -2, 3, 4, 5, 6, -7, 8]),
        owners: u32([2], [1, 0]),
        factors: f32([2, 4], [0, 0, 0.5, 2, 1, -1, 0, 3]),
      },
      options: {},
      tolerance: 0,
    },
    spec(33, 24),
    { ...spec(512, 64), cost: { bytes: 8 * 512 * 64, flops: 512 * 64 } },
  ],
};

function spec(rows: number, columns: number) {
  return {
    inputs: {
      x: { dtype: "f32", shape: [rows, columns] },
      owners: u32([rows], Array.from({ length: rows }, (_, row) => row * 7 % 3)),
      factors: { dtype: "f32", shape: [3, columns] },
    },
    options: {},
    tolerance: 0,
  } as const;
}
