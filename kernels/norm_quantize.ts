import { counts, type Kernel } from "./device/kernel.ts";
import half from "./parts/half.wgsl" with { type: "text" };
import normalize from "./parts/normalize_row.wgsl" with { type: "text" };
import quotient from "./parts/quotient.wgsl" with { type: "text" };
import row from "./parts/quantize_row.wgsl" with { type: "text" };
import { rowShaders } from "./parts/row_shares.ts";
import { quantizeRows, type QuantizeRowsOptions, rowsLaunch, rowsOnCpu } from "./quantize_rows.ts";
import { type NormOptions, rmsNorm } from "./rms_norm.ts";
import wgsl from "./norm_quantize.wgsl" with { type: "text" };

/** How rows are normalized, then quantized. */
export interface NormQuantizeOptions extends NormOptions, QuantizeRowsOptions {}

type In = "x" | "gain" | "residual" | "bias";

/**
 * `rmsNorm` and `quantizeRows` in one launch: `x` f32 [tokens, columns] and `gain` f32 [columns] to
 * `codes` u32 [tokens, columns / 4] and `rows` f32 [tokens, 2]. With `residual`, `x` is added to it first;
 * `bias` f32 [columns] is added last. Bits are those of the two launches.
 */
export const normQuantize: Kernel<
  In,
  "codes" | "rows",
  NormQuantizeOptions,
  "residual",
  "residual" | "bias"
> = {
  wgsl: rowShaders(`${half}\n${quotient}\n${normalize}\n${row}\n${wgsl}`),
  inputs: ["x", "gain", "residual", "bias"],
  outputs: ["codes", "rows"],
  mutates: ["residual"],
  optional: ["residual", "bias"],
  plan(inputs, options, limits) {
    const { x } = inputs;
    const { RESIDUAL, CENTERED, BIAS } = rmsNorm.plan(inputs, options, limits).constants;
    const [rows = 0, columns = 0] = x.shape;
    const { constants, params, ...launch } = rowsLaunch({ rows, columns }, options, limits);
    return {
      ...launch,
      constants: { RESIDUAL: RESIDUAL!, CENTERED: CENTERED!, BIAS: BIAS!, ...constants },
      params: {
        columns: params.columns,
        eps: { f32: options.eps },
        scale: params.scale,
        low: params.low,
        high: params.high,
        clip: params.clip,
      },
    };
  },
  cpu({ x: { shape: [rows = 0, columns = 0] } }, options, { params }) {
    const centered = counts({ centered: Number(options.centered ?? false) });
    return rowsOnCpu("normQuantize", { rows, columns }, options, { ...params, ...centered });
  },
  reference(inputs, options) {
    const { y, residual } = rmsNorm.reference(inputs, options);
    return { ...quantizeRows.reference({ x: y }, options), residual };
  },
  cases: [
    // A sum in another order can move a value over the border between two codes.
    { inputs: spec(3, 260), options: { eps: 1e-6 }, tolerance: 1e-4 },
    {
      inputs: { ...spec(5, 576), residual: { dtype: "f32", shape: [5, 576] } },
      options: { eps: 1e-5 },
      tolerance: 1e-4,
    },
    {
      inputs: { ...spec(33, 72), residual: { dtype: "f32", shape: [33, 72] } },
      options: { eps: 1e-5, range: 3.5 },
      tolerance: 1e-4,
    },
    { inputs: spec(3, 260), options: { eps: 1e-6, bits: 4, clip: 0.9 }, tolerance: 1e-4 },
    {
      inputs: {
        ...spec(5, 576),
        residual: { dtype: "f32", shape: [5, 576] },
        bias: { dtype: "f32", shape: [576] },
      },
      options: { eps: 1e-5, centered: true },
      tolerance: 1e-4,
    },
    {
      inputs: { ...spec(512, 1536), residual: { dtype: "f32", shape: [512, 1536] } },
      options: { eps: 1e-5 },
      tolerance: 1e-4,
      cost: { bytes: 13 * 512 * 1536, flops: 9 * 512 * 1536 },
    },
    {
      inputs: { ...spec(2, 11_008), residual: { dtype: "f32", shape: [2, 11_008] } },
      options: { eps: 1e-5 },
      tolerance: 1e-4,
    },
  ],
};

function spec(rows: number, columns: number) {
  return {
    x: { dtype: "f32", shape: [rows, columns] },
    gain: { dtype: "f32", shape: [columns] },
  } as const;
}
