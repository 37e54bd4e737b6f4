import { counts, type Kernel } from "./device/kernel.ts";
import { describe } from "./device/tensor.ts";
import gate from "./parts/gate.wgsl" with { type: "text" };
import half from "./parts/half.wgsl" with { type: "text" };
import quotient from "./parts/quotient.wgsl" with { type: "text" };
import row from "./parts/quantize_row.wgsl" with { type: "text" };
import { rowShaders } from "./parts/row_shares.ts";
import { quantizeRows, type QuantizeRowsOptions, rowsLaunch, rowsOnCpu } from "./quantize_rows.ts";
import { glu, type GluOptions, isGelu } from "./glu.ts";
import wgsl from "./glu_quantize.wgsl" with { type: "text" };

/** How gates are activated, and products quantized. */
export interface GluQuantizeOptions extends QuantizeRowsOptions, GluOptions {}

/**
 * `glu` and `quantizeRows` in one launch: `x` f32 [tokens, 2 columns], gates and what they gate, to
 * `codes` u32 [tokens, columns / 4] and `rows` f32 [tokens, 2]. Bits are those of the two launches.
 */
export const gluQuantize: Kernel<"x", "codes" | "rows", GluQuantizeOptions> = {
  wgsl: rowShaders(`${gate}\n${half}\n${quotient}\n${row}\n${wgsl}`),
  inputs: ["x"],
  outputs: ["codes", "rows"],
  plan({ x }, options, limits) {
    const [rows, width] = x.shape;
    if (rows === undefined || width === undefined || width % 8 !== 0) {
      throw new RangeError(
        `Cannot gate x: it is ${describe(x)}, expected [tokens, a multiple of 8]`,
      );
    }
    const { constants, ...launch } = rowsLaunch({ rows, columns: width / 2 }, options, limits);
    return { ...launch, constants: { GELU: isGelu(options), ...constants } };
  },
  cpu({ x: { shape: [rows = 0, width = 0] } }, options, { params }) {
    const { args, ...launch } = rowsOnCpu(
      "gluQuantize",
      { rows, columns: width / 2 },
      options,
      params,
    );
    return { ...launch, args: { ...args, ...counts({ gelu: Number(isGelu(options)) }) } };
  },
  reference({ x }, options) {
    return quantizeRows.reference({ x: glu.reference({ gate: x }, options).y }, options);
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
      inputs: { x: { dtype: "f32", shape: [9, 264] } },
      options: { activation: "gelu_pytorch_tanh" },
      tolerance: 1e-4,
    },
    {
      inputs: { x: { dtype: "f32", shape: [512, 3072] } },
      options: {},
      tolerance: 1e-4,
      cost: { bytes: 9 * 512 * 1536, flops: 8 * 512 * 1536 },
    },
    { inputs: { x: { dtype: "f32", shape: [2, 22_016] } }, options: {}, tolerance: 1e-4 },
  ],
};
