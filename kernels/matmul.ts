import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32 } from "./device/tensor.ts";
import { floatTask } from "./parts/float_task.ts";
import {
  type MatmulOptions,
  outputSizes,
  tileGrid,
  tileSize,
  usedColumns,
} from "./parts/output_sizes.ts";
import { expertCases, firstRow } from "./parts/expert_cases.ts";
import experts from "./parts/expert_rows.wgsl" with { type: "text" };
import wgsl from "./matmul.wgsl" with { type: "text" };

/** Which part of a weight is multiplied. */
export interface FloatMatmulOptions extends MatmulOptions {
  /** Inner values to use, multiples of 8: from the first one to the last one unless said. */
  readonly begin?: number;
  readonly end?: number;
}

/**
 * A linear layer: `x` f32 [tokens, inner] times `weight` f16 or f32 [outputs, inner] transposed,
 * written into columns of `y` f32 [tokens, all outputs]; sums in f32.
 *
 * A weight larger than a binding comes in several tensors, each writing its columns. With `experts`, rows
 * `bounds[e]` to `bounds[e + 1]` of `x` and `y` are those of expert e, and `weight` f32 or f16 [count *
 * outputs, inner] has the weights of some experts one below the other; rows of others stay as they are.
 */
export const matmul: Kernel<
  "x" | "weight" | "y" | "bias" | "bounds",
  never,
  FloatMatmulOptions,
  "y",
  "bias" | "bounds"
> = {
  wgsl: `${experts}\n${wgsl}`,
  inputs: ["x", "weight", "y", "bias", "bounds"],
  outputs: [],
  mutates: ["y"],
  optional: ["bias", "bounds"],
  plan({ x, weight, y, bias, bounds }, options) {
    const [rows, inner] = x.shape;
    const [held] = weight.shape;
    if (rows === undefined || inner === undefined || x.shape.length !== 2) {
      throw new RangeError(`Cannot multiply x: it is ${describe(x)}, expected [tokens, inner]`);
    }
    if (held === undefined || weight.shape[1] !== inner || inner % 8 !== 0) {
      throw new RangeError(
        `Cannot multiply ${describe(x)} by weight ${
          describe(weight)
        }: expected [outputs, ${inner}] with an inner size that is a multiple of 8`,
      );
    }
    const { begin = 0, end = inner } = options;
    if (begin % 8 !== 0 || end % 8 !== 0 || begin < 0 || begin >= end || end > inner) {
      throw new RangeError(
        `Cannot multiply inner values ${begin} to ${end}: expected multiples of 8 from 0 to ${inner}, at least 8`,
      );
    }
    const sizes = outputSizes({ rows, held, y, bias, bounds }, options);
    const { columns, column, row, stride, expert } = sizes;
    const TILE = tileSize(options.experts?.most ?? rows);
    return {
      outputs: {},
      constants: {
        HALF: weight.dtype === "f16",
        BIAS: bias !== undefined,
        EXPERTS: bounds !== undefined,
        TILE,
      },
      params: counts({ rows, inner, columns, column, row, stride, begin, end, expert }),
      grid: tileGrid(sizes, { rows: TILE, columns: TILE }, options.experts),
      // One for 16 values, two to load them, 17 to add them.
      turns: 20 * Math.ceil((end - begin) / 16),
    };
  },
  cpu(inputs, options, { params }) {
    const { x: { shape: [rows = 0, inner = 0] }, weight: { dtype, shape: [held = 0] } } = inputs;
    const { experts } = options;
    const columns = usedColumns(held, options);
    const panels = (experts?.most ?? rows) > 1;
    const columnBytes = inner * (dtype === "f16" ? 2 : 4);
    const { tasks, args } = floatTask({ rows, columns, columnBytes }, { panels, experts });
    return {
      program: "matmul",
      tasks,
      args: { ...params, ...counts({ half: Number(dtype === "f16") }), ...args },
    };
  },
  reference({ x, weight, y, bias, bounds }, options) {
    const { column = 0, begin = 0, end } = options;
    const [tokens = 0, inner = 0] = x.shape;
    const [, stride = 0] = y.shape;
    const columns = usedColumns(weight.shape[0]!, options);
    const data = Float32Array.from(y.data);
    // Of one type, whatever they are, which the loops are several times as fast with.
    const [values, weights] = [new Float64Array(x.data), new Float64Array(weight.data)];
    for (let m = 0; m < tokens; m++) {
      const row = firstRow({ row: m, columns, bounds }, options);
      if (row === undefined) continue;
      for (let n = 0; n < columns; n++) {
        let sum = bias ? bias.data[column + n]! : 0;
        for (let k = begin; k < (end ?? inner); k++) {
          sum += values[m * inner + k]! * weights[(row + n) * inner + k]!;
        }
        data[m * stride + column + n] = sum;
      }
    }
    return { y: { ...y, data } };
  },
  get cases(): typeof matmul.cases {
    return [
      { inputs: { x: f32([1, 8]), weight: f32([1, 8]), y: f32([1, 1]) }, options: {} },
      { inputs: spec(2, 24, 67, "f16"), options: {} },
      { inputs: spec(3, 24, 5, "f32"), options: {} },
      { inputs: spec(9, 48, 65, "f16"), options: {} },
      { inputs: { ...spec(33, 40, 70, "f16"), bias: { dtype: "f32", shape: [70] } }, options: {} },
      { inputs: spec(70, 576, 130, "f16"), options: {} },
      {
        inputs: { ...spec(5, 64, 32, "f16"), y: { dtype: "f32", shape: [5, 96] } },
        options: { column: 40 },
      },
      {
        inputs: { ...spec(5, 64, 32, "f32"), y: { dtype: "f32", shape: [5, 96] } },
        options: { row: 7, rows: 20, column: 3 },
      },
      { inputs: spec(5, 64, 9, "f16"), options: { begin: 16, end: 40 } },
      { inputs: spec(1, 64, 9, "f16"), options: { begin: 24 } },
      { inputs: { ...spec(1, 64, 301, "f16"), bias: { dtype: "f32", shape: [301] } }, options: {} },
      { inputs: spec(40, 1600, 70, "f32"), options: { begin: 8, end: 1592 } },
      ...expertCases.map(({ bounds, experts, rows }) => ({
        inputs: { ...spec(rows, 48, experts.count * 37, "f16"), y: f32([rows, 40]), bounds },
        options: { experts, column: 2 },
      })),
      timed(1, 576, 1536),
      timed(4, 576, 1536),
      timed(16, 576, 1536),
      timed(1, 1536, 1536),
      timed(16, 1536, 1536),
      timed(64, 1536, 1536),
      { ...timed(512, 1536, 1536), timedOnly: true },
    ];
  },
};

function spec(tokens: number, inner: number, outputs: number, dtype: "f16" | "f32") {
  return {
    x: { dtype: "f32", shape: [tokens, inner] },
    weight: { dtype, shape: [outputs, inner] },
    y: { dtype: "f32", shape: [tokens, outputs] },
  } as const;
}

function timed(tokens: number, inner: number, outputs: number) {
  return {
    inputs: spec(tokens, inner, outputs, "f16"),
    options: {},
    cost: {
      bytes: 4 * tokens * inner + 2 * inner * outputs + 4 * tokens * outputs,
      flops: 2 * tokens * inner * outputs,
    },
  };
}
