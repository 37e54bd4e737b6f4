import { clamp, roundEven } from "./round_even.ts";
import type { ZeroDomain } from "./schemes.ts";

/** How scales and zeros of groups are kept: half precision, or 8-bit integers (second level). */
export type ScaleType = "f16" | "int8";

/** The codes of a quantizer and how its scales are kept. */
export interface Codes {
  readonly low: number;
  readonly high: number;
  readonly zero: ZeroDomain;
  readonly scale: ScaleType;
}

const LARGEST_INT8 = 127;

/** Largest scale that rounds to zero and is replaced by 1: there is no smaller guard. */
function guarded(scale: number): number {
  return scale === 0 ? 1 : scale;
}

/** |span / denominator| in single precision, rounded to what holds scales; 0 becomes 1. */
export function scaleOf(span: number, denominator: number, type: ScaleType): number {
  const exact = Math.abs(Math.fround(span / denominator));
  return guarded(
    type === "f16" ? Math.f16round(exact) : Math.min(roundEven(exact), LARGEST_INT8),
  );
}

/**
 * Scale and zero of a group with values from `min` to `max`, in single precision (the reference's
 * quantizer, PostScale and PreScale as DeepCompressor names them).
 *
 * Without zero point, `max` is the largest magnitude and `min` is not looked at.
 */
export function scaleAndZero(
  { min, max }: { readonly min: number; readonly max: number },
  { low, high, zero, scale: type }: Codes,
): { readonly scale: number; readonly zero: number } {
  if (zero === "none") return { scale: scaleOf(max, high, type), zero: 0 };
  if (zero === "pre_scale") {
    const [least, most] = [Math.min(min, 0), Math.max(max, 0)];
    const scale = scaleOf(Math.fround(most - least), high - low, type);
    const shifted = Math.fround(low - Math.fround(least / scale));
    return { scale, zero: clamp(roundEven(shifted), low, high) };
  }
  const scale = scaleOf(Math.fround(max - min), high - low, type);
  const shifted = Math.fround(Math.fround(low * scale) - min);
  return {
    scale,
    zero: type === "f16"
      ? Math.f16round(shifted)
      : clamp(roundEven(shifted), -LARGEST_INT8 - 1, LARGEST_INT8),
  };
}

/** The code of a value, by single-precision arithmetic. */
export function codeOf(x: number, scale: number, zero: number, codes: Codes): number {
  const { low, high, zero: domain } = codes;
  const real = domain === "post_scale"
    ? Math.fround(Math.fround(x + zero) / scale)
    : domain === "pre_scale"
    ? Math.fround(Math.fround(x / scale) + zero)
    : Math.fround(x / scale);
  return clamp(roundEven(real), low, high);
}

/** What a code stands for, by single-precision arithmetic. */
export function valueOf(code: number, scale: number, zero: number, domain: ZeroDomain): number {
  if (domain === "post_scale") return Math.fround(Math.fround(code * scale) - zero);
  return Math.fround((domain === "pre_scale" ? code - zero : code) * scale);
}
