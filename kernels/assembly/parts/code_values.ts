/**
 * Eight codes with 16 bits each, signed where there is no zero point.
 *
 * `C` has two bytes for codes of eight bits and one for those of four; `Z` has one byte where there are
 * no zero points, two where they stand before the scale and four behind it.
 */
export function eightCodes<C, Z>(at: usize): v128 {
  if (sizeof<C>() == 1) return nibbles(at, sizeof<Z>() > 1);
  return sizeof<Z>() > 1 ? v128.load_ext<u8>(at) : v128.load_ext<i8>(at);
}

/** Eight codes of four bits, the lowest first, with 16 bits each, signed unless said otherwise. */
function nibbles(at: usize, unsigned: bool): v128 {
  const pairs = v128.load_zero<u32>(at);
  const low = v128.and(pairs, i8x16.splat(15));
  const high = i8x16.shr_u(pairs, 4);
  const codes = i8x16.shuffle(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 0, 0, 0, 0, 0, 0, 0, 0);
  if (unsigned) return i16x8.extend_low_i8x16_u(codes);
  // A nibble moved to the top of a byte and back takes its sign along.
  return i16x8.extend_low_i8x16_s(i8x16.shr_s(i8x16.shl(codes, 4), 4));
}

/** What four codes stand for, as `dequantized` has it. */
export function fourValues<Z>(codes: v128, scale: v128, zero: v128): v128 {
  const q = f32x4.convert_i32x4_s(codes);
  if (sizeof<Z>() == 4) return f32x4.sub(f32x4.mul(q, scale), zero);
  if (sizeof<Z>() == 2) return f32x4.mul(f32x4.sub(q, zero), scale);
  return f32x4.mul(q, scale);
}
