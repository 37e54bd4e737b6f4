import type { Limits } from "./device/device.ts";
import { counts, type CpuLaunch, type Kernel, type Param } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import { codeOf, inputCodes, scaleOf } from "./codes/quantizer.ts";
import half from "./parts/half.wgsl" with { type: "text" };
import { rowShaders, rowShare } from "./parts/row_shares.ts";
import { rowTasks } from "./parts/row_tasks.ts";
import quotient from "./parts/quotient.wgsl" with { type: "text" };
import row from "./parts/quantize_row.wgsl" with { type: "text" };
import wgsl from "./quantize_rows.wgsl" with { type: "text" };

/** Whether the scale is measured on each row, or given, and which codes there are. */
export interface QuantizeRowsOptions {
  /** Largest absolute value of all rows, known beforehand (static scales); measured unless given. */
  readonly range?: number;
  /** Bits of a code, 8 unless said: -127 to 127, or -8 to 7. */
  readonly bits?: 8 | 4;
  /** Factor above 0 and up to 1, its default, on the largest absolute value. */
  readonly clip?: number;
}

/** The launch that quantizes rows, a workgroup each; throws where they cannot be. */
export function rowsLaunch(
  { rows, columns }: { readonly rows: number; readonly columns: number },
  { range, bits = 8, clip = 1 }: QuantizeRowsOptions,
  limits: Limits,
) {
  if (columns % 4 !== 0) {
    throw new RangeError(`Cannot quantize rows of ${columns} values: expected a multiple of 4`);
  }
  if (range !== undefined && !(range >= 0 && range < Infinity)) {
    throw new RangeError(`Cannot quantize rows to range ${range}: expected a finite size`);
  }
  if (!(clip > 0 && clip <= 1)) {
    throw new RangeError(
      `Cannot clip rows to ${clip} of their range: expected a factor above 0 and up to 1`,
    );
  }
  if (rows > limits.gridAxis) {
    throw new RangeError(
      `Cannot quantize ${rows} rows at once: expected at most ${limits.gridAxis}`,
    );
  }
  const THREADS = Math.min(256, limits.groupThreads);
  const { low, high } = inputCodes(bits);
  const { share, ...shader } = rowShare(limits);
  return {
    ...shader,
    outputs: {
      codes: { dtype: "u32", shape: [rows, columns / 4] },
      rows: { dtype: "f32", shape: [rows, 2] },
    },
    constants: { STATIC: range !== undefined, THREADS, ...share },
    // Where none is given, the scale is not read.
    params: {
      columns: { u32: columns },
      scale: { f32: scaleOf(clipped(range ?? 0, clip), high, "f16") },
      low: { f32: low },
      high: { f32: high },
      clip: { f32: clip },
    },
    grid: [rows, 1, 1],
  } as const;
}

/** A size times a factor, in single precision. */
function clipped(size: number, clip: number): number {
  return Math.fround(Math.fround(size) * Math.fround(clip));
}

/** The same on the CPU engine, by a program that takes `params`, the rows, and the rows of a task. */
export function rowsOnCpu(
  program: string,
  { rows, columns }: { readonly rows: number; readonly columns: number },
  { range }: QuantizeRowsOptions,
  params: Readonly<Record<string, Param>>,
): CpuLaunch {
  const { tasks, args } = rowTasks(rows, columns);
  // A scale of 0 asks for one measured on each row.
  const scale = range === undefined ? { scale: { f32: 0 } } : {};
  return { program, tasks, args: { ...params, ...scale, ...counts({ count: rows }), ...args } };
}

/**
 * Signed codes of the rows of `x` f32 [tokens, columns]: `codes` u32 [tokens, columns / 4], a
 * byte each also where they have 4 bits, column 4w + j in byte j of word w, and `rows` f32 [tokens, 2] with each row's scale and sum.
 *
 * The scale is the f16 value nearest to the largest |x| times `clip` over 127, or over 7 of 4 bits, at
 * most 65504, and 1 where that is 0.
 * The sum is that of what the codes stand for, which takes the zero points of 4-bit weights out of a
 * product exactly. (QServe sums the values before rounding, so that z * s * sum(rounding) remains.)
 */
export const quantizeRows: Kernel<"x", "codes" | "rows", QuantizeRowsOptions> = {
  wgsl: rowShaders(`${half}\n${quotient}\n${row}\n${wgsl}`),
  inputs: ["x"],
  outputs: ["codes", "rows"],
  plan({ x }, options, limits) {
    const [rows, columns] = x.shape;
    if (rows === undefined || columns === undefined) {
      throw new RangeError(`Cannot quantize x: it is ${describe(x)}, expected [tokens, columns]`);
    }
    return rowsLaunch({ rows, columns }, options, limits);
  },
  cpu({ x: { shape: [rows = 0, columns = 0] } }, options, { params }) {
    return rowsOnCpu("quantizeRows", { rows, columns }, options, params);
  },
  reference({ x }, { range, bits = 8, clip = 1 }) {
    const kinds = inputCodes(bits);
    const [tokens = 0, columns = 0] = x.shape;
    const codes = new Int8Array(tokens * columns);
    const rows = new Float32Array(2 * tokens);
    for (let row = 0; row < tokens; row++) {
      const values = Array.from(x.data.subarray(row * columns, (row + 1) * columns));
      const most = values.reduce((size, value) => Math.max(size, Math.abs(value)), 0);
      const scale = scaleOf(clipped(range ?? most, clip), kinds.high, "f16");
      const sum = values.reduce((sum, value, k) => {
        codes[row * columns + k] = codeOf(value, scale, 0, kinds);
        return sum + codes[row * columns + k]!;
      }, 0);
      rows.set([scale, sum * scale], 2 * row);
    }
    return {
      codes: u32([tokens, columns / 4], new Uint32Array(codes.buffer)),
      rows: f32([tokens, 2], rows),
    };
  },
  get cases(): typeof quantizeRows.cases {
    return [
      {
        inputs: {
          x: f32([6, 8], [
            ...ties(127),
            ...ties(100),
            ...Array(8).fill(0),
            ...ties(-127),
            ...ties(127 * (1 + 2 ** -11)),
            ...ties(127 * (1 + 3 * 2 ** -11)),
          ]),
        },
        options: {},
        tolerance: 0,
      },
      {
        inputs: {
          x: f32([3, 4], [1e-6, 0, -1e-6, 0, 2 ** -9, 0, -(2 ** -10), 0, 2 ** 24, 0, -1, 64]),
        },
        options: {},
        tolerance: 0,
      },
      { inputs: { x: f32([7, 260], fewBits(7 * 260)) }, options: {}, tolerance: 0 },
      { inputs: { x: f32([33, 1536], fewBits(33 * 1536)) }, options: {}, tolerance: 0 },
      { inputs: { x: f32([5, 72], fewBits(5 * 72)) }, options: { range: 11.3 }, tolerance: 0 },
      { inputs: { x: f32([1, 8], ties(3)) }, options: { range: 0 }, tolerance: 0 },
      {
        inputs: { x: f32([3, 8], [...ties(7), ...ties(-8), ...Array(8).fill(0)]) },
        options: { bits: 4 },
        tolerance: 0,
      },
      {
        inputs: { x: f32([33, 1536], fewBits(33 * 1536)) },
        options: { bits: 4, clip: 0.9 },
        tolerance: 0,
      },
      { inputs: { x: f32([7, 260], fewBits(7 * 260)) }, options: { clip: 0.5 }, tolerance: 0 },
      {
        inputs: { x: f32([5, 72], fewBits(5 * 72)) },
        options: { bits: 4, clip: 0.7, range: 11.3 },
        tolerance: 0,
      },
      {
        inputs: { x: { dtype: "f32", shape: [512, 1536] } },
        options: {},
        tolerance: 0,
        cost: { bytes: 5 * 512 * 1536, flops: 4 * 512 * 1536 },
      },
      { inputs: { x: { dtype: "f32", shape: [2, 11_008] } }, options: {}, tolerance: 0 },
    ];
  },
};

/** Halves between codes in a row whose scale is |most| / 127, which may be between two halves too. */
function ties(most: number): number[] {
  return [most, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5].map((value) =>
    Math.abs(value) > Math.abs(most) ? 0 : value
  );
}

/** Numbers of 12 bits, larger ones in each fourth block of 97: their sums are exact in f32. */
function fewBits(count: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(count);
  // A loop: every start of the program makes them.
  for (let i = 0; i < count; i++) {
    const code = (Math.imul(i, 0x9e3779b1) >>> 20) - 2048;
    values[i] = code / (Math.floor(i / 97) % 4 === 0 ? 64 : 512);
  }
  return values;
}
