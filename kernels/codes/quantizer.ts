/** The zero domains (see `ZeroDomain`), as the constants of shaders say them. */
export const ZERO_DOMAINS = { none: 0, pre_scale: 1, post_scale: 2 } as const;

/**
 * Where the zero point of codes stands: `none` (signed symmetric codes, x = q * s), `pre_scale`
 * (x = (q - z) * s, z an integer) or `post_scale` (x = q * s - z, z as wide as s).
 */
export type ZeroDomain = keyof typeof ZERO_DOMAINS;

/** How scales and zeros of groups are kept: half precision, or 8-bit integers (second level). */
export type ScaleType = "f16" | "int8";

/** Smallest and largest code, and what the zero point means. */
export interface Codes {
  readonly low: number;
  readonly high: number;
  readonly zero: ZeroDomain;
}

/** The codes of a quantizer and how its scales are kept. */
export interface Quantizer extends Codes {
  readonly scale: ScaleType;
}

/** Scale and zero of a group: f16-valued, or integers. */
export interface ScaleAndZero {
  readonly scale: number;
  readonly zero: number;
}

const LARGEST_HALF = 65504;
const LARGEST_INT8 = 127;

/**
 * Smallest and largest code; without zero point signed and symmetric, such as -127 to 127, unless all codes
 * there are (`full`) are wanted.
 */
export function codeRange(
  { bits, zero, full }: {
    readonly bits: number;
    readonly zero: ZeroDomain;
    readonly full?: boolean | undefined;
  },
): readonly [low: number, high: number] {
  const most = 2 ** (bits - 1) - 1;
  return zero === "none" ? [full ? -most - 1 : -most, most] : [0, 2 ** bits - 1];
}

const [LEAST_INPUT, LARGEST_INPUT] = codeRange({ bits: 8, zero: "none" });

/** The 8-bit codes of the quantized inputs of linears. */
export const INPUT_CODES: Codes = { low: LEAST_INPUT, high: LARGEST_INPUT, zero: "none" };

/**
 * The codes of inputs of so many bits: 4 have all of -8 to 7, though scales are those of 7 (Ashkboos et
 * al. 2024, QuaRot; Zhao et al. 2024, Atom).
 */
export function inputCodes(bits: 8 | 4): Codes {
  return bits === 8 ? INPUT_CODES : { low: -8, high: 7, zero: "none" };
}

/** V8 rounds what is stored here in an instruction or two, and calls out for `Math.f16round`. */
const ROUNDED = new Float16Array(1);

/** Rounds to f16, to nearest with ties to even; beyond its range to its largest number. */
export function half(x: number): number {
  ROUNDED[0] = clamp(x, -LARGEST_HALF, LARGEST_HALF);
  return ROUNDED[0];
}

/** |span / denominator| in single precision, rounded to what holds scales; 0 becomes 1. */
export function scaleOf(span: number, denominator: number, type: ScaleType): number {
  const exact = Math.abs(Math.fround(Math.fround(span) / denominator));
  const scale = type === "f16" ? half(exact) : Math.min(roundEven(exact), LARGEST_INT8);
  // There is no smaller guard: any scale that does not round to zero is used.
  return scale === 0 ? 1 : scale;
}

/**
 * Scale and zero of a group with values from `min` to `max`, in single precision
 * (.github/ALGORITHMS.md#scales).
 *
 * Without zero point, `max` is the largest magnitude and `min` is not looked at.
 */
export function scaleAndZero(
  { min, max }: { readonly min: number; readonly max: number },
  { low, high, zero, scale: type }: Quantizer,
): ScaleAndZero {
  // The middle of the magnitudes of the outermost codes: 7 of -7 to 7, 7.5 of -8 to 7.
  if (zero === "none") return { scale: scaleOf(max, (high - low) / 2, type), zero: 0 };
  if (zero === "pre_scale") {
    const [least, most] = [Math.min(min, 0), Math.max(max, 0)];
    const scale = scaleOf(Math.fround(most - least), high - low, type);
    const shifted = Math.fround(low - Math.fround(least / scale));
    return { scale, zero: clamp(roundEven(shifted), low, high) };
  }
  const scale = scaleOf(Math.fround(max - min), high - low, type);
  const shifted = Math.fround(Math.fround(low * scale) - min);
  const rounded = type === "f16"
    ? half(shifted)
    : clamp(roundEven(shifted), -LARGEST_INT8 - 1, LARGEST_INT8);
  // No negative zero: it has other bits.
  return { scale, zero: rounded + 0 };
}

/** The code of a value, by single-precision arithmetic with ties to even. */
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

/** 1.5 * 2^52: the last bit of a double of this size is 1, so that adding it rounds to an integer. */
const INTEGERS = 6755399441055744;

/**
 * The nearest integer, ties to the even one, as IEEE 754 and PyTorch round; for |x| below 2^51, and
 * beyond that a number as large. Never a negative zero.
 */
export function roundEven(x: number): number {
  return x + INTEGERS - INTEGERS;
}

/** `x` moved into `low` to `high`. */
export function clamp(x: number, low: number, high: number): number {
  return x < low ? low : x > high ? high : x;
}
