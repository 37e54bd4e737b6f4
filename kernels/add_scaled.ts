import { counts, type Kernel } from "./device/kernel.ts";
import { describe, elements, f32 } from "./device/tensor.ts";
import wgsl from "./add_scaled.wgsl" with { type: "text" };

const THREADS = 64;
/** Quads of a task of the CPU engine: some microseconds. */
const TASK_QUADS = 2048;

/** Adds `x` times a factor to `sum`, both f32 of one shape; `sum` is written in place. */
export const addScaled: Kernel<"x" | "sum", never, { readonly factor: number }, "sum"> = {
  wgsl,
  inputs: ["x", "sum"],
  outputs: [],
  mutates: ["sum"],
  plan({ x, sum }, { factor }, limits) {
    const count = elements(x.shape);
    if (describe(x) !== describe(sum) || count % 4 !== 0) {
      throw new RangeError(
        `Cannot add ${describe(x)} to ${
          describe(sum)
        }: expected equal shapes with a multiple of 4 elements`,
      );
    }
    const groups = Math.ceil(count / 4 / THREADS);
    const across = Math.min(groups, limits.gridAxis);
    return {
      outputs: {},
      constants: { THREADS },
      params: { quads: { u32: count / 4 }, factor: { f32: factor } },
      grid: [across, Math.ceil(groups / across), 1],
    };
  },
  cpu({ x }, _options, { params }) {
    const tasks = Math.ceil(elements(x.shape) / 4 / TASK_QUADS);
    return {
      program: "addScaled",
      tasks,
      args: { ...params, ...counts({ task_quads: TASK_QUADS }) },
    };
  },
  reference({ x, sum }, { factor }) {
    const by = Math.fround(factor);
    return {
      sum: f32(sum.shape, Float32Array.from(sum.data, (value, i) => value + x.data[i]! * by)),
    };
  },
  cases: [
    {
      inputs: { x: f32([1, 4], [1, -2, 3, 4]), sum: f32([1, 4], [4, 3, 0, -1]) },
      options: { factor: 0.5 },
      tolerance: 0,
    },
    { inputs: spec(3, 260), options: { factor: 1 } },
    { inputs: spec(9, 1000), options: { factor: 0.22 } },
    {
      inputs: spec(512, 1536),
      options: { factor: 0.22 },
      cost: { bytes: 3 * 4 * 512 * 1536, flops: 2 * 512 * 1536 },
    },
  ],
};

function spec(rows: number, columns: number) {
  return {
    x: { dtype: "f32", shape: [rows, columns] },
    sum: { dtype: "f32", shape: [rows, columns] },
  } as const;
}
