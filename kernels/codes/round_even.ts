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
