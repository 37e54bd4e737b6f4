import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import { rowTasks } from "./parts/row_tasks.ts";
import wgsl from "./gather_columns.wgsl" with { type: "text" };

const THREADS = 64;

/** The columns of `x` f32 [rows, columns] in an order: `y`[m, j] = x[m, order[j]], `order` u32 [columns]. */
export const gatherColumns: Kernel<"x" | "order", "y", Record<never, never>> = {
  wgsl,
  inputs: ["x", "order"],
  outputs: ["y"],
  plan({ x, order }, _, limits) {
    const [rows = 0, columns = 0] = x.shape;
    if (x.shape.length !== 2 || order.dtype !== "u32" || order.shape.join() !== `${columns}`) {
      throw new RangeError(
        `Cannot take columns of ${describe(x)} in order ${
          describe(order)
        }: expected two axes and u32[${columns}]`,
      );
    }
    if (rows > limits.gridAxis) {
      throw new RangeError(
        `Cannot take columns of ${rows} rows at once: expected at most ${limits.gridAxis}`,
      );
    }
    return {
      outputs: { y: { dtype: "f32", shape: [rows, columns] } },
      constants: { THREADS },
      params: counts({ columns }),
      grid: [Math.ceil(columns / THREADS), rows, 1],
    };
  },
  cpu({ x: { shape: [rows = 0, columns = 0] } }, _, { params }) {
    const { tasks, args } = rowTasks(rows, columns);
    return {
      program: "gatherColumns",
      tasks,
      args: { ...params, ...counts({ count: rows }), ...args },
    };
  },
  reference({ x, order }) {
    const [rows = 0, columns = 0] = x.shape;
    const y = Float32Array.from(
      { length: rows * columns },
      (_, i) => x.data[i - i % columns + order.data[i % columns]!]!,
    );
    return { y: f32([rows, columns], y) };
  },
  cases: [spec(1, 8), spec(3, 70), spec(33, 576), {
    ...spec(512, 1536),
    cost: { bytes: 8 * 512 * 1536, flops: 0 },
  }],
};

function spec(rows: number, columns: number) {
  return {
    inputs: {
      x: { dtype: "f32", shape: [rows, columns] },
      // A step that shares no factor with the columns visits each once.
      order: u32([columns], Array.from({ length: columns }, (_, j) => (j * 37 + 5) % columns)),
    },
    options: {},
    tolerance: 0,
  } as const;
}
