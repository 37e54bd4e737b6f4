import { half } from "../../kernels/codes/quantizer.ts";
import { clamp, roundEven } from "../../kernels/codes/round_even.ts";

const LARGEST_BYTE = 255;

/** Scales of a row's groups as one f16 factor for the row and a byte for each group. */
export interface NestedScales {
  readonly row: number;
  readonly groups: readonly number[];
  /** The products that codes are multiplied by; 1 where a product is 0. */
  readonly products: readonly number[];
}

/**
 * Takes the scales that a row's largest magnitudes by group ask for apart into two levels within one
 * step of quantization (DeepCompressor's several scale types without an intermediate type): the
 * row's factor is the largest scale / 255, each group's byte its scale in units of that.
 *
 * Unlike two-level weights, whose groups quantize 8-bit integers again, codes stay those of one step.
 */
export function nestedScales(magnitudes: readonly number[], high: number): NestedScales {
  const scales = magnitudes.map((most) => Math.fround(most / high));
  const row = half(Math.fround(scales.reduce((a, b) => Math.max(a, b)) / LARGEST_BYTE));
  const groups = scales.map((scale) =>
    row === 0 ? 0 : clamp(roundEven(Math.fround(scale / row)), 0, LARGEST_BYTE)
  );
  return { row, groups, products: groups.map((byte) => Math.fround(row * byte) || 1) };
}
