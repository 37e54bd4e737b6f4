import {
  clamp,
  codeOf,
  type Quantizer,
  scaleAndZero,
  scaleOf,
  valueOf,
  type ZeroDomain,
} from "../../kernels/codes/quantizer.ts";
import type { WeightScheme } from "./schemes.ts";

/** The largest magnitude of 8-bit integers that are symmetric about 0. */
const INT8 = 127;
/** The smallest difference of two halves. */
const SMALLEST = 2 ** -24;
/** A half has so many binary digits. */
const DIGITS = 11;

/** Protective ranges by bits, which take some milliseconds each to find and every weight asks for. */
const RANGES = { pre_scale: new Map<number, number>(), post_scale: new Map<number, number>() };

/**
 * The largest p for which every group of 8-bit integers from within -p to p, quantized again with
 * integer scale and zero, comes back within -127 to 127, so that the 8-bit weights of the second
 * level never overflow (.github/ALGORITHMS.md#two-levels: 119 for pre-scale zeros of 4 bits, 120 for
 * post-scale ones).
 *
 * Signed codes need none: 7 times the scale round(127 / 7) is 126, and shifted up by 7 to be unsigned,
 * as the integer product takes them, at most 252, which is a byte.
 */
export function protectiveRange(
  { bits, zero }: { readonly bits: number; readonly zero: ZeroDomain },
): number {
  if (zero === "none") return INT8;
  const known = RANGES[zero].get(bits);
  if (known !== undefined) return known;
  const codes: Quantizer = { low: 0, high: 2 ** bits - 1, zero, scale: "int8" };
  let most = INT8;
  while (!isSafe(most, codes)) most--;
  RANGES[zero].set(bits, most);
  return most;
}

/** Whether every range within -most to most that reaches to 0 or above stays inside int8. */
function isSafe(most: number, codes: Quantizer): boolean {
  for (let max = 0; max <= most; max++) {
    for (let min = -most; min <= max; min++) {
      const { scale, zero } = scaleAndZero({ min, max }, codes);
      for (const x of [min, max]) {
        const back = valueOf(codeOf(x, scale, zero, codes), scale, zero, codes.zero);
        if (Math.abs(back) > INT8) return false;
      }
    }
  }
  return true;
}

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
