const LARGEST: f32 = 65504;
/** Below this, half-precision numbers are multiples of 2^-24. */
const SMALLEST_NORMAL: f32 = reinterpret<f32>(0x38800000);
const SUBNORMAL_STEPS: f32 = 16777216;

/** The nearest half-precision value, ties to even; beyond their range the largest. */
export function roundedToHalf(x: f32): f32 {
  const value = max(min(x, LARGEST), -LARGEST);
  if (abs(value) < SMALLEST_NORMAL) return nearest(value * SUBNORMAL_STEPS) / SUBNORMAL_STEPS;
  const bits = reinterpret<u32>(value);
  return reinterpret<f32>((bits + 0xfff + ((bits >> 13) & 1)) & 0xffffe000);
}

/** The bits of a value that is of half precision. */
export function halfBits(half: f32): u32 {
  const bits = reinterpret<u32>(half);
  const sign = (bits >> 16) & 0x8000;
  const size = abs(half);
  if (size < SMALLEST_NORMAL) return sign | <u32> (size * SUBNORMAL_STEPS);
  return sign | (((bits & 0x7fffffff) >> 13) - (112 << 10));
}

/** The value of 16 bits. */
export function fromHalfBits(bits: u32): f32 {
  const exponent = (bits >> 10) & 31;
  const sign: f32 = bits & 0x8000 ? -1 : 1;
  if (exponent == 0) return sign * (<f32> (bits & 1023) / SUBNORMAL_STEPS);
  const size = exponent == 31
    ? 0x7f800000 | ((bits & 1023) << 13)
    : ((bits & 0x7fff) << 13) + (112 << 23);
  return sign * reinterpret<f32>(size);
}

/** The bits of the nearest half-precision values, ties to even, each in a lane. */
export function halfBits4(x: v128): v128 {
  const signs = i32x4.shr_u(v128.and(x, i32x4.splat(0x80000000)), 16);
  const size = f32x4.pmin(f32x4.abs(x), f32x4.splat(LARGEST));
  // What is below half precision's normal numbers gets its steps into the last bits.
  const steps = f32x4.add(f32x4.mul(size, f32x4.splat(SUBNORMAL_STEPS)), f32x4.splat(8388608));
  const small = v128.and(steps, i32x4.splat(0x7fffff));
  const odd = v128.and(i32x4.shr_u(size, 13), i32x4.splat(1));
  const rounded = i32x4.add(i32x4.add(size, i32x4.splat(0xfff)), odd);
  const normal = i32x4.sub(i32x4.shr_u(rounded, 13), i32x4.splat(112 << 10));
  const below = f32x4.lt(size, f32x4.splat(SMALLEST_NORMAL));
  return v128.or(signs, v128.bitselect(small, normal, below));
}
