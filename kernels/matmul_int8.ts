import type { HostTensor } from "./device/device.ts";
import { SCRATCH_BYTES } from "./device/cpu/protocol.ts";
import { counts, type Kernel, type KernelCase } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import { type CodeValues, unpackCodes } from "./codes/integer_codes.ts";
import { twoLevelWords } from "./codes/layout.ts";
import { valueOf } from "./codes/quantizer.ts";
import { expertCases, firstRow } from "./parts/expert_cases.ts";
import { expertTiles } from "./parts/expert_rows.ts";
import { type MatmulOptions, usedColumns } from "./parts/output_sizes.ts";
import {
  checkedGroup,
  productLaunch,
  productShaders,
  productSizes,
} from "./parts/packed_product.ts";
import { inRuns, quadLaunch, quadShaders } from "./parts/quad_product.ts";
import { taskBytes } from "./parts/task_bytes.ts";
import tiles from "./matmul_int8.wgsl" with { type: "text" };
import part from "./parts/matmul_int8.wgsl" with { type: "text" };
import words from "./parts/matmul_int8_words.wgsl" with { type: "text" };

/** What the weight's words hold, and which rows are used. */
export interface MatmulInt8Options extends MatmulOptions {
  /** Bits of a weight: 8 are signed, 4 unsigned. */
  readonly bits: 4 | 8;
  /** Columns that share a scale in `groups`; one scale and zero a row unless given. */
  readonly group?: number;
}

type Input = "x" | "x_rows" | "weight" | "w_rows" | "groups" | "y" | "bias" | "bounds";
type Optional = "groups" | "bias" | "bounds";

/** As many products of two bytes as 32 bits can surely sum. */
const MOST_INNER = 2 ** 17;

/** Rows and columns of a task on the CPU engine where there are many. */
const MOST_TASK_ROWS = 64;
const TASK_COLUMNS = 64;
const FEW_ROWS = 8;

/**
 * A linear layer on integers: signed bytes `x` u32 [tokens, inner / 4] with `x_rows` f32 [tokens, 2]
 * (scale, sum) as `quantizeRows` makes them, times `weight` with `w_rows` f32 [outputs, 2] (scale,
 * scale * zero), into columns of `y` f32 [tokens, all outputs]; sums are exact integers.
 *
 * Three forms of weight, the arithmetic being QServe's:
 * - 8 bits, signed, u32 [outputs, inner / 4]: y = sum(x w) w_scale x_scale.
 * - 4 bits without groups, unsigned, u32 [outputs, inner / 8]: y = sum(x q) w_scale x_scale -
 *   w_zero x_sum.
 * - 4 bits in groups with `groups` u32 [outputs, ceil(inner / group / 2)], 16 bits a group: a scale
 *   s from 0 to 127 in the low byte, with q s at most 255, and a signed z in the high one. The
 *   weight is the signed byte q s - z: y = sum(x (q s - z)) w_scale x_scale.
 *
 * Column 8w + j of a row lies in bits 4j of word w, or 4w + j in byte j. `bias` is added last.
 * Experts are as in `matmul`.
 */
export const matmulInt8: Kernel<Input, never, MatmulInt8Options, "y", Optional> = {
  wgsl: { ...productShaders({ part: `${part}\n${words}`, tiles }), ...quadShaders },
  inputs: ["x", "x_rows", "weight", "w_rows", "groups", "y", "bias", "bounds"],
  outputs: [],
  mutates: ["y"],
  optional: ["groups", "bias", "bounds"],
  plan({ x, x_rows, weight, w_rows, groups, y, bias, bounds }, options, limits) {
    const { bits, experts } = options;
    const sizes = productSizes({ x, weight, y, bias, bounds }, options, {
      xPerWord: 4,
      perWord: 32 / bits,
    });
    const { rows, inner } = sizes;
    if (inner > MOST_INNER) {
      throw new RangeError(
        `Cannot sum ${inner} products in 32 bits: expected at most ${MOST_INNER}`,
      );
    }
    if (x_rows.shape[0] !== rows || x_rows.shape[1] !== 2) {
      throw new RangeError(`Cannot scale by x_rows ${describe(x_rows)}: expected f32[${rows}, 2]`);
    }
    const [held] = weight.shape;
    if (w_rows.shape[0] !== held || w_rows.shape[1] !== 2) {
      throw new RangeError(`Cannot scale by w_rows ${describe(w_rows)}: expected f32[${held}, 2]`);
    }
    const group = options.group === undefined ? inner : checkedGroup(options.group, inner);
    const words = twoLevelWords(inner / group);
    const fits = groups?.shape[0] === held && groups?.shape[1] === words;
    if (options.group === undefined ? groups : bits !== 4 || !fits) {
      throw new RangeError(
        `Cannot use groups ${groups ? describe(groups) : "(none)"} with ${bits} bits: expected ${
          options.group === undefined ? "none without a group size" : `4 and u32[${held}, ${words}]`
        }`,
      );
    }
    const constants = {
      NIBBLES: bits === 4,
      GROUPED: options.group !== undefined,
      BIAS: bias !== undefined,
    };
    const tile = limits.choices?.integerTile ?? 64;
    // Two panels of rows of five vectors.
    const fitting = 2 * tile * 5 * 16 <= limits.groupBytes ? tile : 64;
    if (inRuns(inner, group)) {
      return quadLaunch(sizes, { group, experts, tile: fitting }, constants, limits);
    }
    return productLaunch(sizes, { group, experts }, { ...constants, Words: "u32" }, limits);
  },
  cpu(inputs, options, { params }) {
    const { rows, inner, columns } = productSizes(inputs, options, {
      xPerWord: 4,
      perWord: 32 / options.bits,
    });
    const { bits, experts } = options;
    const together = experts ? Math.min(rows, experts.most) : rows;
    const task = integerTask({ rows: together, inner, columns }, bits);
    const down = experts ? expertTiles(experts, rows, task.rows) : Math.ceil(rows / task.rows);
    return {
      program: "matmulInt8",
      tasks: down * Math.ceil(columns / task.columns),
      args: {
        ...params,
        ...counts({
          nibbles: Number(bits === 4),
          task_rows: task.rows,
          task_columns: task.columns,
          experts: experts?.count ?? 0,
        }),
      },
    };
  },
  reference(inputs, options) {
    const { x, x_rows, w_rows, y, bias, bounds } = inputs;
    const { column = 0, bits, group } = options;
    const [tokens = 0, words = 0] = x.shape;
    const inner = 4 * words;
    const columns = usedColumns(inputs.weight.shape[0]!, options);
    const stride = y.shape[1]!;
    const [left, right] = [codesOf(x, 8), expanded(inputs, options)];
    const data = Float32Array.from(y.data);
    const { fround } = Math;
    for (let m = 0; m < tokens; m++) {
      const row = firstRow({ row: m, columns, bounds }, options);
      if (row === undefined) continue;
      const values = left.subarray(m * inner, (m + 1) * inner);
      const [xScale, xSum] = x_rows.data.subarray(2 * m, 2 * m + 2);
      for (let n = 0; n < columns; n++) {
        const [wScale, wZero] = w_rows.data.subarray(2 * (row + n), 2 * (row + n) + 2);
        const sum = dot(values, right.subarray((row + n) * inner, (row + n + 1) * inner));
        let value = fround(fround(fround(sum) * wScale!) * xScale!);
        if (bits === 4 && !group) value = fround(value - fround(wZero! * xSum!));
        data[m * stride + column + n] = value + (bias?.data[column + n] ?? 0);
      }
    }
    return { y: { ...y, data } };
  },
  get cases(): typeof matmulInt8.cases {
    return [
      shaped({ tokens: 1, inner: 8, outputs: 1 }, { bits: 8 }),
      shaped({ tokens: 1, inner: 8, outputs: 1 }, { bits: 4 }),
      shaped({ tokens: 3, inner: 24, outputs: 5 }, { bits: 4, group: 8 }),
      shaped({ tokens: 2, inner: 48, outputs: 65 }, { bits: 4, group: 24 }),
      shaped({ tokens: 9, inner: 48, outputs: 65 }, { bits: 8 }),
      shaped({ tokens: 1, inner: 72, outputs: 67, bias: true }, { bits: 8 }),
      shaped(
        { tokens: 1, inner: 576, outputs: 300, stride: 280, bias: true },
        { bits: 8, row: 7, rows: 271, column: 3 },
      ),
      shaped({ tokens: 9, inner: 72, outputs: 65, bias: true }, { bits: 4 }),
      shaped({ tokens: 8, inner: 72, outputs: 65 }, { bits: 4, group: 72 }),
      shaped({ tokens: 33, inner: 576, outputs: 70, bias: true }, { bits: 4, group: 64 }),
      shaped({ tokens: 5, inner: 120, outputs: 20 }, { bits: 4, group: 24 }),
      shaped({ tokens: 7, inner: 576, outputs: 70, bias: true, bytes: true }, {
        bits: 4,
        group: 64,
      }),
      shaped({ tokens: 6, inner: 384, outputs: 66, bytes: true }, { bits: 4, group: 128 }),
      shaped({ tokens: 1, inner: 1536, outputs: 37, bytes: true }, { bits: 4, group: 192 }),
      // Groups that end within blocks of 64, weights that wrap and such that do not; odd numbers of them.
      ...[[1, 96, 6], [7, 96, 15], [14, 32, 13], [1, 160, 3], [6, 288, 3]].flatMap(
        ([tokens = 0, group = 0, groups = 0]) =>
          [true, false].map((bytes) =>
            shaped({ tokens, inner: groups * group, outputs: 23, bias: true, bytes }, {
              bits: 4,
              group,
            })
          ),
      ),
      // A row alone by long columns, which are read far apart: with a zero a row, and groups of three kinds.
      shaped({ tokens: 1, inner: 1160, outputs: 133, bias: true }, { bits: 4 }),
      ...[[96, true], [64, true], [96, false]].map(([group, bytes]) =>
        shaped({ tokens: 1, inner: 1152, outputs: 133, bias: true, bytes: bytes === true }, {
          bits: 4,
          group: Number(group),
        })
      ),
      shaped({ tokens: 70, inner: 2304, outputs: 130 }, { bits: 8 }),
      // Runs of 32: one, fewer than threads, more than they take at once; rows by the number.
      shaped({ tokens: 1, inner: 32, outputs: 9 }, { bits: 4, group: 32 }),
      shaped({ tokens: 1, inner: 4160, outputs: 19, stride: 16, bias: true, bytes: true }, {
        bits: 4,
        group: 32,
        row: 2,
        rows: 13,
        column: 3,
      }),
      shaped({ tokens: 3, inner: 2080, outputs: 19, bias: true }, { bits: 8 }),
      shaped({ tokens: 13, inner: 96, outputs: 37, bias: true }, { bits: 4, group: 32 }),
      shaped({ tokens: 16, inner: 160, outputs: 18 }, { bits: 8 }),
      shaped({ tokens: 29, inner: 160, outputs: 70, bias: true }, { bits: 4, group: 32 }),
      shaped({ tokens: 17, inner: 96, outputs: 65 }, { bits: 8 }),
      shaped({ tokens: 33, inner: 32, outputs: 3 }, { bits: 4 }),
      largest(9, 2304, 65),
      shaped({ tokens: 2, inner: 4608, outputs: 40 }, { bits: 4, group: 2304 }),
      shaped({ tokens: 2, inner: 2304, outputs: 40 }, { bits: 4 }),
      shaped({ tokens: 5, inner: 64, outputs: 32, stride: 96 }, { bits: 8, column: 40 }),
      shaped(
        { tokens: 5, inner: 64, outputs: 32, stride: 96, bias: true },
        { bits: 4, row: 7, rows: 20, column: 3 },
      ),
      shaped(
        { tokens: 40, inner: 64, outputs: 32, stride: 96, bias: true },
        { bits: 4, group: 16, row: 7, rows: 20, column: 3 },
      ),
      ...expertCases.flatMap(({ bounds, experts, rows }) =>
        ([[48, 24], [96, 32]] as const).flatMap(([inner, group]) =>
          ([{ bits: 8 }, { bits: 4 }, { bits: 4, group }] as const).map((form) => {
            const sizes = { tokens: rows, inner, outputs: experts.count * 37, stride: 40 };
            const one = shaped(sizes, { ...form, column: 2, experts });
            return { ...one, inputs: { ...one.inputs, bounds } };
          })
        )
      ),
      ...[1, 16, 64].flatMap((tokens) => [
        timed(tokens, 1536, { bits: 8 }),
        timed(tokens, 1536, { bits: 4 }),
        timed(tokens, 1536, { bits: 4, group: 128 }),
      ]),
      { ...timed(512, 1536, { bits: 8 }), timedOnly: true },
      { ...timed(512, 1536, { bits: 4 }), timedOnly: true },
      { ...timed(512, 1536, { bits: 4, group: 128 }), timedOnly: true },
      shaped({ tokens: 1, inner: 11_008, outputs: 19, bytes: true }, { bits: 4, group: 128 }),
      shaped({ tokens: 21, inner: 11_008, outputs: 19, bytes: true }, { bits: 4, group: 128 }),
    ];
  },
};

/** Rows and columns of a task on the CPU engine. */
function integerTask(
  { rows, inner, columns }: {
    readonly rows: number;
    readonly inner: number;
    readonly columns: number;
  },
  bits: number,
) {
  // A thread holds a task's rows with one and two bytes a value and sums, four columns, and factors.
  const fitting = Math.floor((SCRATCH_BYTES - 9 * (inner + 128)) / (4 * (inner + 128)));
  const blocks = Math.ceil(rows / Math.min(MOST_TASK_ROWS, fitting));
  const taskRows = 4 * Math.ceil(rows / blocks / 4);
  // With few rows, reading the weights is the work.
  const bytes = inner * bits / 8;
  const part = taskBytes(columns * bytes);
  const few = 4 * Math.ceil(part / bytes / 4);
  return { rows: taskRows, columns: rows <= FEW_ROWS ? few : Math.min(few, TASK_COLUMNS) };
}

function shaped(
  { tokens, inner, outputs, stride = outputs, bias = false, bytes = false }: {
    readonly tokens: number;
    readonly inner: number;
    readonly outputs: number;
    readonly stride?: number;
    readonly bias?: boolean;
    /** Whether no weight in groups wraps. */
    readonly bytes?: boolean;
  },
  options: MatmulInt8Options,
): KernelCase<Input, MatmulInt8Options, Optional> {
  const { bits, group } = options;
  return {
    inputs: {
      x: { dtype: "u32", shape: [tokens, inner / 4] },
      x_rows: { dtype: "f32", shape: [tokens, 2] },
      weight: { dtype: "u32", shape: [outputs, inner * bits / 32] },
      w_rows: { dtype: "f32", shape: [outputs, 2] },
      ...(group ? { groups: groupsOf(outputs, inner / group, bytes ? byteGroup : anyGroup) } : {}),
      y: { dtype: "f32", shape: [tokens, stride] },
      ...(bias ? { bias: { dtype: "f32", shape: [stride] } } : {}),
    },
    options,
    tolerance: 1e-13,
  };
}

/** Sums above 2^24 of odd numbers (each 8 products make 128,905), which f32 would round on the way. */
function largest(tokens: number, inner: number, outputs: number) {
  const words = (rows: number, even: number) =>
    u32(
      [rows, inner / 4],
      Array.from({ length: rows * inner / 4 }, (_, i) => 0x7f7f7f7f - (i % 2 ? 0 : even)),
    );
  const ones = (rows: number) => f32([rows, 2], new Float32Array(2 * rows).fill(1));
  return {
    inputs: {
      x: words(tokens, 0),
      x_rows: ones(tokens),
      weight: words(outputs, 1),
      w_rows: ones(outputs),
      y: f32([tokens, outputs]),
    },
    options: { bits: 8 },
    tolerance: 0,
  } as const;
}

function timed(tokens: number, inner: number, options: MatmulInt8Options) {
  const weights = inner ** 2 * (options.bits / 8 + (options.group ? 2 / options.group : 0));
  return {
    ...shaped({ tokens, inner, outputs: inner, bytes: true }, options),
    cost: { bytes: tokens * inner + weights + 4 * tokens * inner, flops: 2 * tokens * inner ** 2 },
  };
}

/** Groups of rows: 16 bits each of two random numbers of 32. */
function groupsOf(
  rows: number,
  count: number,
  group: (first: number, second: number) => number,
): HostTensor {
  const words = twoLevelWords(count);
  return u32(
    [rows, words],
    Array.from({ length: rows * words }, (_, i) => {
      const [first, second] = [Math.imul(i, 0x9e3779b1) >>> 0, Math.imul(i + 1, 0x85ebca6b) >>> 0];
      return (group(first, second) | group(second, first) << 16) >>> 0;
    }),
  );
}

/** A scale from 0 to 17, so that 15 s is a byte, with any byte to subtract. */
function anyGroup(first: number): number {
  return (first >>> 24) % 18 | (first & 0xff00);
}

/** A scale from 0 to 16 with a zero that leaves 0 to 15 times it signed bytes. */
function byteGroup(first: number, second: number): number {
  const scale = (first >>> 24) % 17;
  const least = Math.max(-127, 15 * scale - 127);
  const zero = least + (second >>> 8) % (128 - least);
  return scale | (zero & 0xff) << 8;
}

/** The weights as signed bytes, row by row. */
function expanded(
  { weight, groups }: { readonly weight: HostTensor; readonly groups?: HostTensor },
  { bits, group }: MatmulInt8Options,
): CodeValues {
  const codes = codesOf(weight, bits);
  if (!groups || !group) return codes;
  const inner = 8 * weight.shape[1]!;
  const pairs = groups.shape[1]!;
  return new Int8Array(codes).map((code, i) => {
    const index = Math.floor(i % inner / group);
    const word = groups.data[Math.floor(i / inner) * pairs + (index >> 1)]!;
    const held = word >>> (16 * (index % 2));
    return valueOf(code, held & 0xff, held >> 8 & 0xff, "post_scale");
  });
}

/** Bytes are signed, nibbles are not. */
function codesOf({ data }: HostTensor, bits: 4 | 8): CodeValues {
  return unpackCodes(new Uint32Array(data), { bits, signed: bits === 8 });
}

function dot(a: CodeValues, b: CodeValues): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum = (sum + a[k]! * b[k]!) | 0;
  return sum;
}
