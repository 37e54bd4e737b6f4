import { multiplyAdd } from "./floats";

const SMALLEST_NORMAL: f32 = reinterpret<f32>(0x00800000);
const ROOT_OF_HALF: f32 = 0.707106781186547524;

/**
 * The natural logarithm of four positive, finite floats, within 1 unit of the last place:
 * x = 2^n (1 + r), and a polynomial of r (S. Moshier, Cephes, logf.c). Subnormal ones count as the
 * smallest normal one.
 */
export function log4(x: v128): v128 {
  const bits = f32x4.pmax(x, f32x4.splat(SMALLEST_NORMAL));
  // 1 + r lies between the roots of 1/2 and of 2.
  const exponent = i32x4.sub(i32x4.shr_s(bits, 23), i32x4.splat(126));
  const half = v128.or(v128.and(bits, i32x4.splat(0x007fffff)), i32x4.splat(0x3f000000));
  const low = f32x4.lt(half, f32x4.splat(ROOT_OF_HALF));
  const n = f32x4.convert_i32x4_s(i32x4.add(exponent, low));
  const r = f32x4.add(f32x4.sub(half, f32x4.splat(1)), v128.and(low, half));
  let p = f32x4.splat(7.0376836292e-2);
  p = multiplyAdd(p, r, f32x4.splat(-1.1514610310e-1));
  p = multiplyAdd(p, r, f32x4.splat(1.1676998740e-1));
  p = multiplyAdd(p, r, f32x4.splat(-1.2420140846e-1));
  p = multiplyAdd(p, r, f32x4.splat(1.4249322787e-1));
  p = multiplyAdd(p, r, f32x4.splat(-1.6668057665e-1));
  p = multiplyAdd(p, r, f32x4.splat(2.0000714765e-1));
  p = multiplyAdd(p, r, f32x4.splat(-2.4999993993e-1));
  p = multiplyAdd(p, r, f32x4.splat(3.3333331174e-1));
  const square = f32x4.mul(r, r);
  let rest = f32x4.mul(f32x4.mul(r, square), p);
  // ln 2 in two parts, of which the first times n is exact.
  rest = multiplyAdd(n, f32x4.splat(-2.12194440e-4), rest);
  rest = multiplyAdd(square, f32x4.splat(-0.5), rest);
  return multiplyAdd(n, f32x4.splat(0.693359375), f32x4.add(r, rest));
}

/** The natural logarithm, with the bits of `log4`. */
export function log1(x: f32): f32 {
  return f32x4.extract_lane(log4(f32x4.splat(x)), 0);
}
