import { scaleOf } from "../../kernels/codes/quantizer.ts";
import { clamp } from "../../kernels/codes/round_even.ts";
import { INT8 } from "./protective_range.ts";
import type { WeightScheme } from "./schemes.ts";

/** The smallest difference of two halves. */
const SMALLEST = 2 ** -24;
/** A half has so many binary digits. */
const DIGITS = 11;

/**
 * The f16 factor of a row with two levels, under which its largest magnitude is at most `bound`.
 *
 * Without a zero point it is rounded up to as few binary digits (6 for 4-bit codes) as leave its
 * products with the integer scales of groups halves: so engines that know one scale a group alone
 * take over the same values.
 */
export function rowScale(
  largest: number,
  bound: number,
  { bits, zero }: Pick<WeightScheme, "bits" | "zero">,
): number {
  if (zero !== "none") return scaleOf(largest, bound, "f16");
  const exact = Math.fround(largest / bound);
  if (exact === 0) return 1;
  const digits = DIGITS - Math.ceil(Math.log2(largestGroupScale(bits) + 1));
  const step = Math.max(SMALLEST, 2 ** (Math.floor(Math.log2(exact)) + 1 - digits));
  return clamp(Math.ceil(exact / step) * step, 0, (2 ** digits - 1) * 2 ** (16 - digits));
}

/** The largest integer scale of a group without a zero point: 18 for 4-bit codes. */
function largestGroupScale(bits: WeightScheme["bits"]): number {
  return Math.floor(INT8 / (2 ** (bits - 1) - 1));
}
