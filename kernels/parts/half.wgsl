// Rounding to half precision, kept in f32.

const LARGEST_HALF = 65504f;

// The f16 value nearest to a value, ties to even; beyond the range of f16 its largest number. Below
// 2^-14 halves are multiples of 2^-24.
fn half(value: f32) -> f32 {
  if (abs(value) < 0x1p-14) { return round(value * 0x1p24) * 0x1p-24; }
  let bits = bitcast<u32>(clamp(value, -LARGEST_HALF, LARGEST_HALF));
  return bitcast<f32>((bits + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u);
}
