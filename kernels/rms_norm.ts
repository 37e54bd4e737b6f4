import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32 } from "./device/tensor.ts";
import row from "./parts/normalize_row.wgsl" with { type: "text" };
import { rowShaders, rowShare } from "./parts/row_shares.ts";
import { rowTasks } from "./parts/row_tasks.ts";
import wgsl from "./rms_norm.wgsl" with { type: "text" };

/** How rows are normalized. */
export interface NormOptions {
  readonly eps: number;
  /** Whether the mean of a row is taken away first. */
  readonly centered?: boolean;
}

/**
 * Root-mean-square normalization of the rows of `x` f32 [tokens, columns], times `gain` f32 [columns],
 * plus `bias` f32 [columns] where there is one. With `residual`, `x` is added to it first and the sum is
 * what is normalized. Zhang and Sennrich 2019; centered, it is LayerNorm (Ba et al. 2016).
 */
export const rmsNorm: Kernel<
  "x" | "gain" | "residual" | "bias",
  "y",
  NormOptions,
  "residual",
  "residual" | "bias"
> = {
  wgsl: rowShaders(`${row}\n${wgsl}`),
  inputs: ["x", "gain", "residual", "bias"],
  outputs: ["y"],
  mutates: ["residual"],
  optional: ["residual", "bias"],
  plan({ x, gain, residual, bias }, { eps, centered = false }, limits) {
    const [rows, columns] = x.shape;
    if (rows === undefined || columns === undefined || columns % 4 !== 0) {
      throw new RangeError(
        `Cannot normalize x: it is ${describe(x)}, expected [tokens, a multiple of 4]`,
      );
    }
    for (const [name, vector] of Object.entries({ gain, bias })) {
      if (!vector || vector.shape.length === 1 && vector.shape[0] === columns) continue;
      throw new RangeError(
        `Cannot scale x ${describe(x)}: ${name} is ${describe(vector)}, expected f32[${columns}]`,
      );
    }
    if (residual && (residual.shape[0] !== rows || residual.shape[1] !== columns)) {
      throw new RangeError(
        `Cannot add x ${describe(x)} to residual ${describe(residual)}: expected equal shapes`,
      );
    }
    const THREADS = Math.min(256, limits.groupThreads);
    const { share, ...shader } = rowShare(limits);
    return {
      ...shader,
      outputs: { y: { dtype: "f32", shape: x.shape } },
      constants: {
        RESIDUAL: residual !== undefined,
        CENTERED: centered,
        BIAS: bias !== undefined,
        THREADS,
        ...share,
      },
      params: { columns: { u32: columns }, eps: { f32: eps } },
      grid: [rows, 1, 1],
    };
  },
  cpu({ x: { shape: [rows = 0, columns = 0] } }, { centered }, { params }) {
    const { tasks, args } = rowTasks(rows, columns);
    const own = counts({ centered: Number(centered ?? false), rows });
    return { program: "rmsNorm", tasks, args: { ...params, ...own, ...args } };
  },
  reference({ x, gain, residual, bias }, { eps, centered = false }) {
    const [rows = 0, columns = 0] = x.shape;
    const sum = Float32Array.from(x.data, (value, i) => value + (residual?.data[i] ?? 0));
    const y = new Float32Array(sum.length);
    for (let row = 0; row < rows; row++) {
      const given = sum.subarray(row * columns, (row + 1) * columns);
      const mean = centered ? given.reduce((total, value) => total + value, 0) / columns : 0;
      const values = given.map((value) => value - mean);
      const squares = values.reduce((total, value) => total + value * value, 0);
      const scale = 1 / Math.sqrt(squares / columns + eps);
      values.forEach((value, c) =>
        y[row * columns + c] = value * scale * gain.data[c]! + (bias?.data[c] ?? 0)
      );
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
      inputs: { x: f32([1, 4], [1, -2, 3, 4]), gain: f32([4], [1, 1, 2, 1]) },
      options: { eps: 1e-5, centered: true },
    },
    { inputs: f32Constant(2, 64, 100), options: { eps: 1e-5, centered: true } },
    { inputs: { ...spec(3, 260), bias: f32Spec([260]) }, options: { eps: 1e-6 } },
    {
      inputs: { ...spec(5, 576), residual: f32Spec([5, 576]), bias: f32Spec([576]) },
      options: { eps: 1e-5, centered: true },
    },
    {
      inputs: { ...spec(5, 576), residual: { dtype: "f32", shape: [5, 576] } },
      options: { eps: 1e-5 },
    },
    {
      inputs: { ...spec(512, 1536), residual: { dtype: "f32", shape: [512, 1536] } },
      options: { eps: 1e-5 },
      cost: { bytes: 4 * 4 * 512 * 1536, flops: 5 * 512 * 1536 },
    },
    { inputs: spec(2, 4_100), options: { eps: 1e-5 } },
    {
      inputs: { ...spec(2, 11_008), residual: f32Spec([2, 11_008]), bias: f32Spec([11_008]) },
      options: { eps: 1e-5, centered: true },
    },
  ],
};

function f32Spec(shape: readonly number[]) {
  return { dtype: "f32", shape } as const;
}

/** Rows whose values are all alike, which centered are nothing. */
function f32Constant(rows: number, columns: number, value: number) {
  const size = rows * columns;
  return {
    x: f32([rows, columns], Array<number>(size).fill(value)),
    gain: f32Spec([columns]),
    bias: f32Spec([columns]),
  };
}

function spec(rows: number, columns: number) {
  return {
    x: { dtype: "f32", shape: [rows, columns] },
    gain: { dtype: "f32", shape: [columns] },
  } as const;
}
