import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32 } from "./device/tensor.ts";
import wgsl from "./transpose.wgsl" with { type: "text" };

const TILE = 16;
/** Values of a task of the CPU engine: some microseconds. */
const TASK_VALUES = 16384;

/**
 * `x` f32 [rows, columns] with rows and columns exchanged: `y` f32 [columns, rows up to a multiple of 8],
 * whose columns behind the last row are 0. So it is a weight or an input of `matmul`, whose inner sizes
 * are multiples of 8: with it, that one kernel makes every product of a backward pass.
 */
export const transpose: Kernel<"x", "y", Record<never, never>> = {
  wgsl,
  inputs: ["x"],
  outputs: ["y"],
  plan({ x }) {
    const [rows, columns] = x.shape;
    if (rows === undefined || columns === undefined || x.shape.length !== 2 || columns % 4 !== 0) {
      throw new RangeError(
        `Cannot transpose ${describe(x)}: expected [rows, a multiple of 4]`,
      );
    }
    const width = innerSize(rows);
    return {
      outputs: { y: { dtype: "f32", shape: [columns, width] } },
      constants: { TILE },
      params: counts({ rows, columns, width }),
      grid: [Math.ceil(width / TILE), Math.ceil(columns / TILE), 1],
    };
  },
  cpu({ x: { shape: [rows = 0, columns = 0] } }, _options, { params }) {
    const quads = Math.max(1, Math.floor(TASK_VALUES / 4 / rows));
    const tasks = Math.ceil(columns / 4 / quads);
    return { program: "transpose", tasks, args: { ...params, ...counts({ task_quads: quads }) } };
  },
  reference({ x }) {
    const [rows = 0, columns = 0] = x.shape;
    const width = innerSize(rows);
    const y = new Float32Array(columns * width);
    x.data.forEach((value, i) => y[i % columns * width + Math.floor(i / columns)] = value);
    return { y: f32([columns, width], y) };
  },
  cases: [
    { inputs: { x: f32([1, 4], [1, -2, 3, 4]) }, options: {}, tolerance: 0 },
    { inputs: spec(8, 8), options: {}, tolerance: 0 },
    { inputs: spec(13, 20), options: {}, tolerance: 0 },
    { inputs: spec(67, 132), options: {}, tolerance: 0 },
    {
      inputs: spec(512, 1536),
      options: {},
      tolerance: 0,
      cost: { bytes: 8 * 512 * 1536, flops: 0 },
    },
  ],
};

/** The next inner size of a product: a multiple of 8. */
function innerSize(rows: number): number {
  return 8 * Math.ceil(rows / 8);
}

function spec(rows: number, columns: number) {
  return { x: { dtype: "f32", shape: [rows, columns] } } as const;
}
