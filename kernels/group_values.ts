import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import { unpackCodes } from "./codes/integer_codes.ts";
import { rowTasks } from "./parts/row_tasks.ts";
import wgsl from "./group_values.wgsl" with { type: "text" };

const THREADS = 64;

/**
 * What the codes of inputs stand for: `codes` u32 [rows, columns / 4] of signed bytes and `groups` f32
 * [rows, 2 groups], a scale and another number each, as `quantizeGroups` and `quantizeRows` make them, to
 * `x` f32 [rows, columns].
 */
export const groupValues: Kernel<"codes" | "groups", "x", Record<never, never>> = {
  wgsl,
  inputs: ["codes", "groups"],
  outputs: ["x"],
  plan({ codes, groups }, _, limits) {
    const [rows = 0, words = 0] = codes.shape;
    const count = (groups.shape[1] ?? 0) / 2;
    const group = 4 * words / count;
    if (codes.shape.length !== 2 || groups.shape[0] !== rows || !(group > 0 && group % 4 === 0)) {
      throw new RangeError(
        `Cannot take values of codes ${describe(codes)} under groups ${
          describe(groups)
        }: expected u32[rows, words] and f32[rows, 2 groups] with whole words a group`,
      );
    }
    if (rows > limits.gridAxis) {
      throw new RangeError(
        `Cannot take values of ${rows} rows at once: expected at most ${limits.gridAxis}`,
      );
    }
    return {
      outputs: { x: { dtype: "f32", shape: [rows, 4 * words] } },
      constants: { THREADS },
      params: counts({ words, group }),
      grid: [Math.ceil(words / THREADS), rows, 1],
    };
  },
  cpu({ codes: { shape: [rows = 0, words = 0] } }, _, { params }) {
    const { tasks, args } = rowTasks(rows, 4 * words);
    return {
      program: "groupValues",
      tasks,
      args: { ...params, ...counts({ count: rows }), ...args },
    };
  },
  reference({ codes, groups }) {
    const [rows = 0, words = 0] = codes.shape;
    const bytes = unpackCodes(new Uint32Array(codes.data), { bits: 8, signed: true });
    const group = 2 * bytes.length / groups.data.length;
    const values = Float32Array.from(
      bytes,
      (code, i) => code * groups.data[2 * Math.floor(i / group)]!,
    );
    return { x: f32([rows, 4 * words], values) };
  },
  get cases(): typeof groupValues.cases {
    return [spec(1, 8, 1), spec(3, 72, 3), spec(33, 1536, 12), {
      ...spec(512, 1536, 12),
      cost: { bytes: 5 * 512 * 1536, flops: 512 * 1536 },
    }];
  },
};

function spec(rows: number, columns: number, groups: number) {
  return {
    inputs: {
      codes: u32(
        [rows, columns / 4],
        Array.from({ length: rows * columns / 4 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 0),
      ),
      groups: f32(
        [rows, 2 * groups],
        Array.from({ length: 2 * rows * groups }, (_, i) => (i + 1) / 64),
      ),
    },
    options: {},
    tolerance: 0,
  };
}
