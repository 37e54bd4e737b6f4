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

const HALF_TO_FLOAT: f32 = reinterpret<f32>(0x77800000);

/** Four half-precision floats, each in the low half of its lane and sign-extended, as single ones. */
export function widened(halves: v128): v128 {
  const signs = v128.and(halves, i32x4.splat(0x80000000));
  const bits = i32x4.shl(v128.and(halves, i32x4.splat(0x7fff)), 13);
  // 2^112 puts the exponent right, of subnormal numbers too.
  const scaled = f32x4.mul(bits, f32x4.splat(HALF_TO_FLOAT));
  // What had the largest exponent is infinite or no number.
  const beyond = f32x4.ge(scaled, f32x4.splat(65536));
  const whole = v128.or(scaled, v128.and(beyond, i32x4.splat(0x7f800000)));
  return v128.or(whole, signs);
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
