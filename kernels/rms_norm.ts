import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32 } from "./device/tensor.ts";
import row from "./parts/normalize_row.wgsl" with { type: "text" };
import { rowTasks } from "./parts/row_tasks.ts";
import wgsl from "./rms_norm.wgsl" with { type: "text" };

/**
 * Root-mean-square normalization of the rows of `x` f32 [tokens, columns], times `gain`
 * f32 [columns]. With `residual`, `x` is added to it first and the sum is what is normalized.
 */
export const rmsNorm: Kernel<
  "x" | "gain" | "residual",
  "y",
  { readonly eps: number },
  "residual",
  "residual"
> = {
  wgsl: `${row}\n${wgsl}`,
  inputs: ["x", "gain", "residual"],
  outputs: ["y"],
  mutates: ["residual"],
  optional: ["residual"],
  plan({ x, gain, residual }, { eps }, limits) {
    const [rows, columns] = x.shape;
    if (rows === undefined || columns === undefined || columns % 4 !== 0) {
      throw new RangeError(
        `Cannot normalize x: it is ${describe(x)}, expected [tokens, a multiple of 4]`,
      );
    }
    if (gain.shape.length !== 1 || gain.shape[0] !== columns) {
      throw new RangeError(
        `Cannot scale x ${describe(x)}: gain is ${describe(gain)}, expected f32[${columns}]`,
      );
    }
    if (residual && (residual.shape[0] !== rows || residual.shape[1] !== columns)) {
      throw new RangeError(
        `Cannot add x ${describe(x)} to residual ${describe(residual)}: expected equal shapes`,
      );
    }
    const THREADS = Math.min(256, limits.groupThreads);
    return {
      outputs: { y: { dtype: "f32", shape: x.shape } },
      constants: { RESIDUAL: residual !== undefined, THREADS },
      params: { columns: { u32: columns }, eps: { f32: eps } },
      grid: [rows, 1, 1],
    };
  },
  cpu({ x: { shape: [rows = 0, columns = 0] } }, _options, { params }) {
    const { tasks, args } = rowTasks(rows, columns);
    return { program: "rmsNorm", tasks, args: { ...params, ...counts({ rows }), ...args } };
  },
  reference({ x, gain, residual }, { eps }) {
    const [rows = 0, columns = 0] = x.shape;
    const sum = Float32Array.from(x.data, (value, i) => value + (residual?.data[i] ?? 0));
    const y = new Float32Array(sum.length);
    for (let row = 0; row < rows; row++) {
      const values = sum.subarray(row * columns, (row + 1) * columns);
      const squares = values.reduce((total, value) => total + value * value, 0);
      const scale = 1 / Math.sqrt(squares / columns + eps);
      values.forEach((value, c) => y[row * columns + c] = value * scale * gain.data[c]!);
    }
    return { y: f32(x.shape, y), residual: f32(x.shape, sum) };
  },
  cases: [
    {
      inputs: { x: f32([1, 4], [1, -2, 3, 4]), gain: f32([4], [1, 1, 2, 1]) },
      options: { eps: 1e-6 },
    },
    { inputs: { x: f32([1, 4]), gain: f32([4], [1, 1, 1, 1]) }, options: { eps: 1e-6 } },
    { inputs: spec(3, 260), options: { eps: 1e-6 } },
    {
      inputs: { ...spec(5, 576), residual: { dtype: "f32", shape: [5, 576] } },
      options: { eps: 1e-5 },
    },
    {
      inputs: { ...spec(512, 1536), residual: { dtype: "f32", shape: [512, 1536] } },
      options: { eps: 1e-5 },
      cost: { bytes: 4 * 4 * 512 * 1536, flops: 5 * 512 * 1536 },
    },
  ],
};

function spec(rows: number, columns: number) {
  return {
    x: { dtype: "f32", shape: [rows, columns] },
    gain: { dtype: "f32", shape: [columns] },
  } as const;
}
