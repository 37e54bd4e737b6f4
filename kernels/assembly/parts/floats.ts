/** a * b + c on four floats: fused where the processor does so, else rounded twice. */
export function multiplyAdd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** The sum of four floats, halves first. */
export function sumOf(v: v128): f32 {
  const pairs = f32x4.add(
    v,
    i8x16.shuffle(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7),
  );
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

const HALF_BITS: i32 = 0x8fffe000;
const HALF_TO_FLOAT: f32 = reinterpret<f32>(0x77800000);
/** The square of what lies above half precision's finite numbers. */
const BEYOND: f32 = 4294967296;
const INFINITE: i32 = 0x7f800000;

/** Bytes of a table for `widenedBy`. */
export const WIDEN_TABLE_BYTES: usize = 64;

/** Four half-precision floats, each in the low half of its lane and sign-extended, as single ones. */
export function widened(halves: v128): v128 {
  return widenedBy(
    halves,
    i32x4.splat(HALF_BITS),
    f32x4.splat(HALF_TO_FLOAT),
    f32x4.splat(BEYOND),
    i32x4.splat(INFINITE),
  );
}

/** Writes what `widenedBy` takes, which loops load once: V8 makes literals anew in every turn. */
export function widenTable(to: usize): void {
  v128.store(to, i32x4.splat(HALF_BITS));
  v128.store(to, f32x4.splat(HALF_TO_FLOAT), 16);
  v128.store(to, f32x4.splat(BEYOND), 32);
  v128.store(to, i32x4.splat(INFINITE), 48);
}

/** The same with constants from a table. */
export function widenedBy(
  halves: v128,
  bits: v128,
  factor: v128,
  beyond: v128,
  infinite: v128,
): v128 {
  return widenedPlaced(i32x4.shl(halves, 13), bits, factor, beyond, infinite);
}

/** The same where exponents and fractions lie as those of single ones, and signs above them. */
export function widenedPlaced(
  placed: v128,
  bits: v128,
  factor: v128,
  beyond: v128,
  infinite: v128,
): v128 {
  // 2^112 puts the exponent right, of subnormal numbers too.
  const value = f32x4.mul(v128.and(placed, bits), factor);
  // What had the largest exponent is infinite or no number.
  const over = f32x4.ge(f32x4.mul(value, value), beyond);
  return v128.or(value, v128.and(over, infinite));
}

/** The sums of four vectors, each as `sumOf` makes it. */
export function sumsOf(v0: v128, v1: v128, v2: v128, v3: v128): v128 {
  const first = f32x4.add(
    v128.shuffle<i32>(v0, v1, 0, 4, 1, 5),
    v128.shuffle<i32>(v0, v1, 2, 6, 3, 7),
  );
  const second = f32x4.add(
    v128.shuffle<i32>(v2, v3, 0, 4, 1, 5),
    v128.shuffle<i32>(v2, v3, 2, 6, 3, 7),
  );
  return f32x4.add(
    v128.shuffle<i64>(first, second, 0, 2),
    v128.shuffle<i64>(first, second, 1, 3),
  );
}

/** Eight sums, behind one another, as four. */
export function joined(sums: usize): v128 {
  return f32x4.add(v128.load(sums), v128.load(sums, 16));
}
