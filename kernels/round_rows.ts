import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32 } from "./device/tensor.ts";
import {
  codeOf,
  inputCodes,
  type Quantizer,
  scaleAndZero,
  scaleOf,
  valueOf,
} from "./codes/quantizer.ts";
import half from "./parts/half.wgsl" with { type: "text" };
import quotient from "./parts/quotient.wgsl" with { type: "text" };
import { rowTasks } from "./parts/row_tasks.ts";
import wgsl from "./round_rows.wgsl" with { type: "text" };

/** Which codes rows are rounded to. */
export interface RoundRowsOptions {
  readonly bits: 8 | 4;
  /** Whether a row has a zero point, an integer, or codes on both sides of 0. */
  readonly zero: "none" | "pre_scale";
  /** Factor on the magnitude that has the highest code, of codes on both sides of 0; 1 unless said. */
  readonly clip?: number | undefined;
}

/**
 * What the codes of rows stand for: `x` f32 [rows, columns] to `y` f32 [rows, columns], each row by a
 * scale, and a zero point, of its own, as inputs of linears and the KV cache are quantized
 * (`quantizeRows`, `appendKv`).
 *
 * For training through a quantized network, where its gradient is taken to be 1 (the straight-through
 * estimator, Bengio et al. 2013); what runs a model takes codes.
 */
export const roundRows: Kernel<"x", "y", RoundRowsOptions> = {
  wgsl: `${half}\n${quotient}\n${wgsl}`,
  inputs: ["x"],
  outputs: ["y"],
  plan({ x }, options, limits) {
    const [rows, columns] = x.shape;
    if (rows === undefined || columns === undefined || columns % 4 !== 0 || x.shape.length !== 2) {
      throw new RangeError(`Cannot round ${describe(x)}: expected [rows, a multiple of 4]`);
    }
    const { clip = 1 } = options;
    if (!(clip > 0 && clip <= 1) || clip < 1 && options.zero !== "none") {
      throw new RangeError(
        `Cannot clip rows to ${clip} of their range: expected a factor above 0 and up to 1, and 1 with zero points`,
      );
    }
    const { low, high, divisor } = codesOf(options);
    const across = Math.min(rows, limits.gridAxis);
    return {
      outputs: { y: { dtype: "f32", shape: x.shape } },
      constants: { ZERO: options.zero !== "none", THREADS: 64 },
      params: {
        ...counts({ rows, columns }),
        low: { f32: low },
        high: { f32: high },
        divisor: { f32: divisor },
      },
      grid: [across, Math.ceil(rows / across), 1],
    };
  },
  cpu({ x: { shape: [rows = 0, columns = 0] } }, { zero }, { params }) {
    const { tasks, args } = rowTasks(rows, columns);
    const own = counts({ zero: Number(zero !== "none") });
    return { program: "roundRows", tasks, args: { ...params, ...own, ...args } };
  },
  reference({ x }, options) {
    const [rows = 0, columns = 0] = x.shape;
    const { divisor, ...codes } = codesOf(options);
    const y = new Float32Array(rows * columns);
    for (let row = 0; row < rows; row++) {
      const values = Array.from(x.data.subarray(row * columns, (row + 1) * columns));
      const [min, max] = [Math.min(...values), Math.max(...values)];
      // As of inputs: a row's largest magnitude has the highest code, or a part of it.
      const { scale, zero } = codes.zero === "none"
        ? { scale: scaleOf(Math.max(-min, max), divisor, codes.scale), zero: 0 }
        : scaleAndZero({ min, max }, codes);
      values.forEach((value, c) => {
        const code = codeOf(value, scale, zero, codes);
        // No negative zero, which drivers make or do not.
        y[row * columns + c] = valueOf(code, scale, zero, codes.zero) + 0;
      });
    }
    return { y: f32(x.shape, y) };
  },
  cases: [
    ...([4, 8] as const).flatMap((bits) =>
      (["none", "pre_scale"] as const).flatMap((zero) =>
        [
          // Rows of nothing, on one side of 0, of halves between codes, and wide ones.
          f32([1, 4]),
          f32([2, 4], [1, 2, 3, 4, -1, -2, -3, -4]),
          f32([2, 8], [7, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, -7, 15, 0, 0.5, 1.5, 2.5, 7.5, 8.5, 9]),
          { dtype: "f32", shape: [9, 64] } as const,
          { dtype: "f32", shape: [5, 260] } as const,
        ].map((x) => ({ inputs: { x }, options: { bits, zero }, tolerance: 0 }))
      )
    ),
    ...([4, 8] as const).map((bits) => ({
      inputs: { x: { dtype: "f32", shape: [5, 260] } as const },
      options: { bits, zero: "none" as const, clip: 0.9 },
      tolerance: 0,
    })),
    {
      inputs: { x: { dtype: "f32", shape: [512, 1536] } },
      options: { bits: 4, zero: "pre_scale" },
      tolerance: 0,
      cost: { bytes: 8 * 512 * 1536, flops: 6 * 512 * 1536 },
    },
  ],
};

/** The codes, and what a row's span is divided by to give its scale. */
function codesOf(
  { bits, zero, clip = 1 }: RoundRowsOptions,
): Quantizer & { readonly divisor: number } {
  if (zero === "none") {
    const codes = inputCodes(bits);
    return { ...codes, scale: "f16", divisor: Math.fround(codes.high / clip) };
  }
  const high = 2 ** bits - 1;
  return { low: 0, high, zero, scale: "f16", divisor: high };
}
