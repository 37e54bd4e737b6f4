import { noSpans, poolSpans, spanOf } from "../../stages/channels/spans.ts";
import type { Matrix } from "../../stages/quant/weight_grid.ts";

/** The weight of DeepCompressor's golden values (.github/ALGORITHMS.md#range-search), f16-valued, 4 x 16. */
export const WEIGHT: Matrix = {
  rows: 4,
  columns: 16,
  values: Float32Array.from({ length: 64 }, (_, at) => {
    const [i, j] = [Math.floor(at / 16), at % 16];
    return Math.f16round((((37 * i + 53 * j) % 101 - 50) / 50) ** 3);
  }),
};

/** The inputs that go with it: four samples of six tokens, 24 x 16. */
export const INPUTS: Matrix = {
  rows: 24,
  columns: 16,
  values: Float32Array.from({ length: 24 * 16 }, (_, at) => {
    const [s, t, j] = [Math.floor(at / 96), Math.floor(at / 16) % 6, at % 16];
    return ((7 * t + 3 * j + 2 * s) % 13 - 6) / 4 * (1 + 0.5 * (j % 3));
  }),
};

/** What the reference quantized weights to: unsigned 3 bits in groups of 8, inputs to 8 bits. */
export const PRECISION = {
  weights: { bits: 3, zero: "post_scale", group: 8, levels: 1 },
  quantizeInputs: true,
} as const;

/** One matrix as a search takes the weights of a site. */
export async function* once(matrix: Matrix): AsyncGenerator<Matrix> {
  yield matrix;
}

/** Spans of the golden inputs and weight. */
export function goldenSpans(kind: "abs_max" | "rms"): [Float32Array, Float32Array] {
  const spans = (matrix: Matrix) => spanOf(poolSpans(noSpans(16), matrix), kind);
  return [spans(INPUTS), spans(WEIGHT)];
}
