import type { Kernel } from "./device/kernel.ts";
import { describe } from "./device/tensor.ts";
import half from "./parts/half.wgsl" with { type: "text" };
import quotient from "./parts/quotient.wgsl" with { type: "text" };
import row from "./parts/quantize_row.wgsl" with { type: "text" };
import { quantizeRows, type QuantizeRowsOptions, rowsLaunch, rowsOnCpu } from "./quantize_rows.ts";
import { siluMul } from "./silu_mul.ts";
import wgsl from "./silu_quantize.wgsl" with { type: "text" };

/**
 * `siluMul` and `quantizeRows` in one launch: `x` f32 [tokens, 2 columns], gates and what they gate, to
 * `codes` u32 [tokens, columns / 4] and `rows` f32 [tokens, 2]. Bits are those of the two launches.
 */
export const siluQuantize: Kernel<"x", "codes" | "rows", QuantizeRowsOptions> = {
  wgsl: `${half}\n${quotient}\n${row}\n${wgsl}`,
  inputs: ["x"],
  outputs: ["codes", "rows"],
  plan({ x }, options, limits) {
    const [rows, width] = x.shape;
    if (rows === undefined || width === undefined || width % 8 !== 0) {
      throw new RangeError(
        `Cannot gate x: it is ${describe(x)}, expected [tokens, a multiple of 8]`,
      );
    }
    return rowsLaunch({ rows, columns: width / 2 }, options, limits);
  },
  cpu({ x: { shape: [rows = 0, width = 0] } }, options, { params }) {
    return rowsOnCpu("siluQuantize", { rows, columns: width / 2 }, options, params);
  },
  reference({ x }, options) {
    return quantizeRows.reference({ x: siluMul.reference({ gate: x }, {}).y }, options);
  },
  cases: [
    // Another exp can move a value over the border between two codes.
    { inputs: { x: { dtype: "f32", shape: [3, 264] } }, options: {}, tolerance: 1e-4 },
    { inputs: { x: { dtype: "f32", shape: [33, 72] } }, options: { range: 2.5 }, tolerance: 1e-4 },
    {
      inputs: { x: { dtype: "f32", shape: [3, 264] } },
      options: { bits: 4, clip: 0.9 },
      tolerance: 1e-4,
    },
    {
      inputs: { x: { dtype: "f32", shape: [512, 3072] } },
      options: {},
      tolerance: 1e-4,
      cost: { bytes: 9 * 512 * 1536, flops: 8 * 512 * 1536 },
    },
  ],
};
