import { multiplyAdd } from "./floats";

/** Below, e^x is smaller than the smallest normal number and becomes 0; above, it is infinite. */
const LEAST: f32 = -87.33654;
const MOST: f32 = 88.72284;

/**
 * e^x of four floats, within 2 units of the last place: x = n ln 2 + r, and a polynomial of r
 * (S. Moshier, Cephes, expf.c).
 */
export function exp4(x: v128): v128 {
  const inside = f32x4.min(f32x4.max(x, f32x4.splat(LEAST)), f32x4.splat(MOST));
  const n = f32x4.nearest(f32x4.mul(inside, f32x4.splat(1.44269504)));
  // ln 2 in two parts, of which the first times n is exact.
  let r = f32x4.sub(inside, f32x4.mul(n, f32x4.splat(0.693359375)));
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.12194440e-4)));
  const value = f32x4.add(multiplyAdd(tail(r), f32x4.mul(r, r), r), f32x4.splat(1));
  // 2^n in two factors, for n reaches 128.
  const whole = i32x4.trunc_sat_f32x4_s(n);
  const half = i32x4.shr_s(whole, 1);
  const scaled = f32x4.mul(f32x4.mul(value, powerOfTwo(half)), powerOfTwo(i32x4.sub(whole, half)));
  const small = f32x4.lt(x, f32x4.splat(LEAST));
  const large = f32x4.gt(x, f32x4.splat(MOST));
  const finite = v128.andnot(scaled, small);
  return v128.bitselect(f32x4.splat(Infinity), finite, large);
}

/** e^x, with the bits of `exp4`. */
export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0);
}

// @ts-ignore: decorator

function powerOfTwo(n: v128): v128 {
  return i32x4.shl(i32x4.add(n, i32x4.splat(127)), 23);
}

/** Below, e^x counts as 0, so that no result is a subnormal number. */
const FADED: f32 = -86.5;
/** Adding it rounds to an integer, which then is in the last bits. */
const INTEGERS: f32 = 12582912;

/** e^x of four floats up to 0, as `exp4`, with less to do; no number stays no number. */
export function expFalling4(x: v128): v128 {
  const shifted = f32x4.add(f32x4.mul(x, f32x4.splat(1.44269504)), f32x4.splat(INTEGERS));
  const n = f32x4.sub(shifted, f32x4.splat(INTEGERS));
  let r = multiplyAdd(n, f32x4.splat(-0.693359375), x);
  r = multiplyAdd(n, f32x4.splat(2.12194440e-4), r);
  const value = f32x4.add(multiplyAdd(tail(r), f32x4.mul(r, r), r), f32x4.splat(1));
  const power = i32x4.shl(i32x4.add(shifted, i32x4.splat(127)), 23);
  return v128.andnot(f32x4.mul(value, power), f32x4.lt(x, f32x4.splat(FADED)));
}

/** e^r = 1 + r + r^2 * tail. */
function tail(r: v128): v128 {
  let p = f32x4.splat(1.9875691500e-4);
  p = multiplyAdd(p, r, f32x4.splat(1.3981999507e-3));
  p = multiplyAdd(p, r, f32x4.splat(8.3334519073e-3));
  p = multiplyAdd(p, r, f32x4.splat(4.1665795894e-2));
  p = multiplyAdd(p, r, f32x4.splat(1.6666665459e-1));
  return multiplyAdd(p, r, f32x4.splat(5.0000001201e-1));
}
