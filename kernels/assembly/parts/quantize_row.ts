import { roundedToHalf } from "./halves";

/** 1.5 * 2^23: a small number added to it is rounded to an integer, half to even. */
const INTEGERS: f32 = 12582912;
const INTEGERS_BITS: i32 = 0x4b400000;

/**
 * Signed codes of a row of floats, a multiple of four, a byte each, and behind one another in `row`
 * its scale and the sum of what its codes stand for; the scale is measured unless one is given. Gives
 * the sum of codes.
 */
export function quantizeRow(
  x: usize,
  bytes: usize,
  given: f32,
  least: f32,
  most: f32,
  clip: f32,
  codes: usize,
  row: usize,
): i32 {
  const scale = given ? given : scaleOf(clip * largestOf(x, bytes), most);
  const lows = f32x4.splat(least);
  const highs = f32x4.splat(most);
  const divisor = f32x4.splat(scale);
  let s0 = i32x4.splat(0);
  let s1 = i32x4.splat(0);
  let at: usize = 0;
  for (; at + 64 <= bytes; at += 64) {
    const c0 = codesOf(v128.load(x + at), divisor, lows, highs);
    const c1 = codesOf(v128.load(x + at, 16), divisor, lows, highs);
    const c2 = codesOf(v128.load(x + at, 32), divisor, lows, highs);
    const c3 = codesOf(v128.load(x + at, 48), divisor, lows, highs);
    s0 = i32x4.add(s0, i32x4.add(c0, c1));
    s1 = i32x4.add(s1, i32x4.add(c2, c3));
    const low = i16x8.narrow_i32x4_s(c0, c1);
    const high = i16x8.narrow_i32x4_s(c2, c3);
    v128.store(codes + at / 4, i8x16.narrow_i16x8_s(low, high));
  }
  for (; at < bytes; at += 16) {
    const code = codesOf(v128.load(x + at), divisor, lows, highs);
    s0 = i32x4.add(s0, code);
    const pairs = i16x8.narrow_i32x4_s(code, code);
    v128.store32_lane(codes + at / 4, i8x16.narrow_i16x8_s(pairs, pairs), 0);
  }
  const s = i32x4.add(s0, s1);
  const sum = i32x4.extract_lane(s, 0) + i32x4.extract_lane(s, 1) +
    i32x4.extract_lane(s, 2) + i32x4.extract_lane(s, 3);
  store<f32>(row, scale);
  // Exact in double precision, so that it is rounded once.
  store<f32>(row, <f32> (<f64> sum * <f64> scale), 4);
  return sum;
}

function scaleOf(largest: f32, most: f32): f32 {
  const scale = roundedToHalf(largest / most);
  return scale == 0 ? 1 : scale;
}

/** The largest magnitude: the bits of magnitudes have the order of their values. */
function largestOf(x: usize, bytes: usize): f32 {
  const magnitude = i32x4.splat(0x7fffffff);
  let m0 = i32x4.splat(0);
  let m1 = i32x4.splat(0);
  let m2 = i32x4.splat(0);
  let m3 = i32x4.splat(0);
  let at: usize = 0;
  for (; at + 64 <= bytes; at += 64) {
    m0 = i32x4.max_s(m0, v128.and(v128.load(x + at), magnitude));
    m1 = i32x4.max_s(m1, v128.and(v128.load(x + at, 16), magnitude));
    m2 = i32x4.max_s(m2, v128.and(v128.load(x + at, 32), magnitude));
    m3 = i32x4.max_s(m3, v128.and(v128.load(x + at, 48), magnitude));
  }
  for (; at < bytes; at += 16) m0 = i32x4.max_s(m0, v128.and(v128.load(x + at), magnitude));
  const m = i32x4.max_s(i32x4.max_s(m0, m1), i32x4.max_s(m2, m3));
  const low = max(i32x4.extract_lane(m, 0), i32x4.extract_lane(m, 1));
  const high = max(i32x4.extract_lane(m, 2), i32x4.extract_lane(m, 3));
  return reinterpret<f32>(max(low, high));
}

/** Four codes, as 32-bit integers. */
function codesOf(values: v128, scale: v128, lows: v128, highs: v128): v128 {
  const real = f32x4.div(values, scale);
  const inside = f32x4.pmax(f32x4.pmin(real, highs), lows);
  return i32x4.sub(f32x4.add(inside, f32x4.splat(INTEGERS)), i32x4.splat(INTEGERS_BITS));
}
