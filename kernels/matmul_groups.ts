import type { HostTensor } from "./device/device.ts";
import { SCRATCH_BYTES } from "./device/cpu/protocol.ts";
import { counts, type Kernel, type KernelCase } from "./device/kernel.ts";
import { describe, f32, lazyTensor } from "./device/tensor.ts";
import { type CodeValues, unpackCodes } from "./codes/integer_codes.ts";
import { expertCases, firstRow } from "./parts/expert_cases.ts";
import { expertTiles } from "./parts/expert_rows.ts";
import { type MatmulOptions, outputSizes, usedColumns } from "./parts/output_sizes.ts";
import { checkedGroup, productLaunch, productShaders } from "./parts/packed_product.ts";
import { taskBytes } from "./parts/task_bytes.ts";
import few from "./matmul_groups_few.wgsl" with { type: "text" };
import part from "./parts/matmul_groups.wgsl" with { type: "text" };
import tiles from "./matmul_groups.wgsl" with { type: "text" };

/** How columns are grouped, and which rows are used. */
export interface MatmulGroupsOptions extends MatmulOptions {
  /** Columns that share scales, of inputs and of weights; a multiple of 8. */
  readonly group: number;
  /** Whether the last group of a weight's row has codes of 8 bits. */
  readonly outliers: boolean;
}

type Input = "x" | "x_groups" | "weight" | "w_groups" | "y" | "bias" | "bounds";
type Optional = "bias" | "bounds";

/** Values whose products, of a signed byte and another, 32 bits can surely sum. */
const MOST_GROUP = 2 ** 17;
const MOST_TASK_ROWS = 64;
const TASK_COLUMNS = 64;
const FEW_ROWS = 8;

/** Words of a weight's row: nibbles, then the bytes of its last group where that is of outliers. */
function groupedWords(
  inner: number,
  { group, outliers }: Pick<MatmulGroupsOptions, "group" | "outliers">,
): number {
  return (inner + (outliers ? group : 0)) / 8;
}

/**
 * A linear layer on integers in groups: signed bytes `x` u32 [tokens, inner / 4] with `x_groups` f32
 * [tokens, 2 groups] (scale, sum of codes) as `quantizeGroups` makes them, times `weight` u32 [outputs,
 * words] with `w_groups` u32 [outputs, groups], into columns of `y` f32 [tokens, all outputs].
 *
 * A row of the weight is unsigned nibbles, column 8w + j in bits 4j of word w; with outliers its last
 * group is signed bytes behind them. Each of its groups has a scale, f16 in the low half of a word, and
 * an integer zero point in the high one: y = sum over groups of (sum(x q) - zero sum(x)) w_scale x_scale.
 * Sums of a group are exact integers; groups are added one after another in f32, so that bits depend on a
 * row alone (Zhao et al. 2024, Atom, section 4.4). `bias` is added last. Experts are as in `matmul`.
 */
export const matmulGroups: Kernel<Input, never, MatmulGroupsOptions, "y", Optional> = {
  wgsl: {
    tiles: productShaders({ part, tiles }).tiles,
    few: productShaders({ part, tiles: few }).tiles,
  },
  inputs: ["x", "x_groups", "weight", "w_groups", "y", "bias", "bounds"],
  outputs: [],
  mutates: ["y"],
  optional: ["bias", "bounds"],
  plan(inputs, options, limits) {
    const { experts, group, outliers } = options;
    const constants = { OUTLIERS: outliers, BIAS: inputs.bias !== undefined };
    // Few rows have a shader of their own, which needs no subgroups.
    const own = { ...limits, subgroupThreads: 0 };
    return productLaunch(sizesOf(inputs, options), { group, experts }, constants, own);
  },
  cpu(inputs, options, { params }) {
    const { experts, group, outliers } = options;
    const { rows, inner, columns } = sizesOf(inputs, options);
    const together = experts ? Math.min(rows, experts.most) : rows;
    const task = taskOf({ rows: together, inner, columns, group });
    const down = experts ? expertTiles(experts, rows, task.rows) : Math.ceil(rows / task.rows);
    return {
      program: "matmulGroups",
      tasks: down * Math.ceil(columns / task.columns),
      args: {
        ...params,
        ...counts({
          outliers: Number(outliers),
          task_rows: task.rows,
          task_columns: task.columns,
          experts: experts?.count ?? 0,
        }),
      },
    };
  },
  reference(inputs, options) {
    const { x, x_groups, weight, w_groups, y, bias, bounds } = inputs;
    const { column = 0, group, outliers } = options;
    const [tokens = 0, xWords = 0] = x.shape;
    const inner = 4 * xWords;
    const groups = inner / group;
    const columns = usedColumns(weight.shape[0]!, options);
    const stride = y.shape[1]!;
    const left = unpackCodes(new Uint32Array(x.data), { bits: 8, signed: true });
    const right = Array.from(
      { length: weight.shape[0]! },
      (_, row) => rowCodes(weight, row, outliers ? group : 0),
    );
    const data = Float32Array.from(y.data);
    const { fround } = Math;
    for (let m = 0; m < tokens; m++) {
      const row = firstRow({ row: m, columns, bounds }, options);
      if (row === undefined) continue;
      for (let n = 0; n < columns; n++) {
        const codes = right[row + n]!;
        let value = 0;
        for (let g = 0; g < groups; g++) {
          const [scale = 0, xSum = 0] = x_groups.data.subarray(2 * (m * groups + g));
          const word = w_groups.data[(row + n) * groups + g]!;
          let sum = -(word >>> 16) * xSum;
          for (let k = g * group; k < (g + 1) * group; k++) sum += left[m * inner + k]! * codes[k]!;
          value = fround(value + fround(fround(fround(sum) * halfOf(word & 0xffff)) * scale));
        }
        data[m * stride + column + n] = value + (bias?.data[column + n] ?? 0);
      }
    }
    return { y: { ...y, data } };
  },
  // Programs that compare and time nothing need none.
  get cases() {
    return [
      shaped({ tokens: 1, inner: 8, outputs: 1 }, { group: 8, outliers: false }),
      shaped({ tokens: 3, inner: 48, outputs: 5 }, { group: 24, outliers: true }),
      shaped({ tokens: 9, inner: 48, outputs: 65, bias: true }, { group: 16, outliers: false }),
      shaped({ tokens: 2, inner: 128, outputs: 7 }, { group: 128, outliers: true }),
      shaped({ tokens: 33, inner: 576, outputs: 70, bias: true }, { group: 64, outliers: true }),
      shaped({ tokens: 7, inner: 1536, outputs: 37 }, { group: 128, outliers: true }),
      shaped({ tokens: 5, inner: 2304, outputs: 18 }, { group: 2304, outliers: false }),
      // Groups that blocks of 64 do not fill.
      ...[[1, 96, 6], [7, 96, 5], [3, 32, 9], [14, 40, 4]].flatMap(
        ([tokens = 0, group = 0, groups = 0]) =>
          [true, false].map((outliers) =>
            shaped({ tokens, inner: groups * group, outputs: 23, bias: true }, { group, outliers })
          ),
      ),
      shaped(
        { tokens: 40, inner: 256, outputs: 32, stride: 96, bias: true },
        { group: 64, outliers: true, row: 7, rows: 20, column: 3 },
      ),
      ...expertCases.flatMap(({ bounds, experts, rows }) =>
        [24, 64].map((group) => {
          const sizes = { tokens: rows, inner: 3 * group, outputs: experts.count * 37, stride: 40 };
          const one = shaped(sizes, { group, outliers: true, column: 2, experts });
          return { ...one, inputs: { ...one.inputs, bounds } };
        })
      ),
      ...[1, 16, 64].map((tokens) => timed(tokens, 1536)),
      { ...timed(512, 1536), timedOnly: true as const },
    ];
  },
};

function sizesOf(
  { x, x_groups, weight, w_groups, y, bias, bounds }: Parameters<typeof matmulGroups.plan>[0],
  options: MatmulGroupsOptions,
) {
  const [rows, width] = x.shape;
  if (rows === undefined || width === undefined || x.dtype !== "u32" || x.shape.length !== 2) {
    throw new RangeError(`Cannot multiply x: it is ${describe(x)}, expected u32[tokens, words]`);
  }
  const inner = 4 * width;
  const group = checkedGroup(options.group, inner);
  if (group > MOST_GROUP) {
    throw new RangeError(
      `Cannot sum ${group} products in 32 bits: expected groups of at most ${MOST_GROUP}`,
    );
  }
  const groups = inner / group;
  const words = groupedWords(inner, options);
  const [held = 0] = weight.shape;
  if (weight.dtype !== "u32" || weight.shape[1] !== words) {
    throw new RangeError(
      `Cannot multiply ${describe(x)} by weight ${
        describe(weight)
      }: expected u32[outputs, ${words}]`,
    );
  }
  if (x_groups.shape.join() !== `${rows},${2 * groups}`) {
    throw new RangeError(
      `Cannot scale by x_groups ${describe(x_groups)}: expected f32[${rows}, ${2 * groups}]`,
    );
  }
  if (w_groups.dtype !== "u32" || w_groups.shape.join() !== `${held},${groups}`) {
    throw new RangeError(
      `Cannot scale by w_groups ${describe(w_groups)}: expected u32[${held}, ${groups}]`,
    );
  }
  return { inner, ...outputSizes({ rows, held, y, bias, bounds }, options) };
}

/** Rows and columns of a task on the CPU engine. */
function taskOf(
  { rows, inner, columns, group }: {
    readonly rows: number;
    readonly inner: number;
    readonly columns: number;
    readonly group: number;
  },
) {
  // A thread holds scales of four columns and a group of their codes, and of a task's rows bytes in groups of
  // whole blocks, 16 bits a value of padded groups, and what they become.
  const groups = inner / group;
  const padded = Math.ceil(group / 16) * 16 * groups;
  const packed = group < 32 ? 0 : Math.ceil(group / 64) * 64 * groups;
  const row = packed + 2 * padded + 16;
  const own = 4096 + 4 * padded / groups + 32 * groups;
  const fitting = Math.floor((SCRATCH_BYTES - own) / row);
  const blocks = Math.ceil(rows / Math.min(MOST_TASK_ROWS, fitting));
  const bytes = inner / 2;
  const part = taskBytes(columns * bytes);
  const wide = 4 * Math.ceil(part / bytes / 4);
  return {
    rows: 4 * Math.ceil(rows / blocks / 4),
    columns: rows <= FEW_ROWS ? wide : Math.min(wide, TASK_COLUMNS),
  };
}

/** The codes of a row: nibbles, then so many bytes. */
function rowCodes({ data, shape }: HostTensor, row: number, outliers: number): number[] {
  const words = new Uint32Array(data.slice(row * shape[1]!, (row + 1) * shape[1]!));
  const split = words.length - outliers / 4;
  const codes: CodeValues[] = [
    unpackCodes(words.slice(0, split), { bits: 4, signed: false }),
    unpackCodes(words.slice(split), { bits: 8, signed: true }),
  ];
  return codes.flatMap((some) => [...some]);
}

function halfOf(bits: number): number {
  return new Float16Array(new Uint16Array([bits]).buffer)[0]!;
}

function shaped(
  { tokens, inner, outputs, stride = outputs, bias = false }: {
    readonly tokens: number;
    readonly inner: number;
    readonly outputs: number;
    readonly stride?: number;
    readonly bias?: boolean;
  },
  options: MatmulGroupsOptions,
): KernelCase<Input, MatmulGroupsOptions, Optional> {
  const { group, outliers } = options;
  const groups = inner / group;
  const words = groupedWords(inner, options);
  const random = (i: number) => Math.imul(i + 1, 0x9e3779b1) >>> 0;
  const codes = Int8Array.from({ length: tokens * inner }, (_, i) => {
    const wide = outliers && i % inner >= inner - group;
    return wide ? random(i) % 255 - 127 : random(i) % 16 - 8;
  });
  return {
    inputs: {
      x: lazyTensor(
        { dtype: "u32", shape: [tokens, inner / 4] },
        () => new Uint32Array(codes.slice().buffer),
      ),
      x_groups: f32([tokens, 2 * groups], pairsOf(codes, group)),
      weight: lazyTensor(
        { dtype: "u32", shape: [outputs, words] },
        () => Uint32Array.from({ length: outputs * words }, (_, i) => random(i)),
      ),
      // Zeros of nibbles from 0 to 15, of bytes none; scales from 2^-6 to 2^-3.
      w_groups: lazyTensor(
        { dtype: "u32", shape: [outputs, groups] },
        () =>
          Uint32Array.from({ length: outputs * groups }, (_, i) => {
            const zero = outliers && i % groups === groups - 1 ? 0 : random(i) % 16;
            return (9 + (i % 4) << 10 | random(i) >>> 24 | zero << 16) >>> 0;
          }),
      ),
      y: { dtype: "f32", shape: [tokens, stride] },
      ...(bias ? { bias: { dtype: "f32", shape: [stride] } } : {}),
    },
    options,
    tolerance: 1e-12,
  };
}

/** A scale and the sum of codes of every group. */
function pairsOf(codes: Int8Array, group: number): number[] {
  return Array.from({ length: codes.length / group }, (_, g) => {
    const sum = codes.subarray(g * group, (g + 1) * group).reduce((a, b) => a + b, 0);
    return [(g % 7 + 1) / 64, sum];
  }).flat();
}

function timed(tokens: number, inner: number) {
  const options = { group: 128, outliers: true };
  const weights = 4 * inner * (groupedWords(inner, options) + inner / options.group);
  return {
    ...shaped({ tokens, inner, outputs: inner }, options),
    cost: { bytes: tokens * inner + weights + 4 * tokens * inner, flops: 2 * tokens * inner ** 2 },
  };
}
