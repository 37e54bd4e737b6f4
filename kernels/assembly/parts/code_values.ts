import { multiplyAdd, WIDEN_TABLE_BYTES, widenedPlaced, widenTable } from "./floats";

/*
 * `C` has two bytes for codes of eight bits and one for those of four; `Z` has one byte where there are
 * no zero points and codes are signed, two where they stand before the scale and four behind it.
 */

/** Bytes of what `codeTable` writes, and where in it that for halves begins. */
export const CODE_TABLE_BYTES: usize = 48 + 64;
const WIDEN_TABLE: usize = 48;

/** What brings nibbles back that are 2^12 or, signed ones, 2^28 times what they are. */
const NIBBLE_SCALE: f32 = reinterpret<f32>(0x39800000);
const SIGNED_SCALE: f32 = reinterpret<f32>(0x31800000);

/**
 * Writes what `lowerValues` and `upperValues` take: factors that bring the lower nibbles of a word to
 * the same bits, those of the upper ones, and these bits, at the top of a lane where they are signed;
 * behind it what `layScales` takes.
 */
export function codeTable<Z>(to: usize): void {
  v128.store(to, i32x4(4096, 256, 16, 1));
  v128.store(to, i32x4(4096 << 16, 256 << 16, 16 << 16, 1 << 16), 16);
  v128.store(to, i32x4.splat(sizeof<Z>() == 1 ? 0xf0000000 : 0xf000), 32);
  widenTable(to + WIDEN_TABLE);
}

/** Eight codes: a word of nibbles in each lane, or bytes with 16 bits each. */
export function eightCodes<C, Z>(at: usize): v128 {
  if (sizeof<C>() == 1) return v128.load32_splat(at);
  return sizeof<Z>() > 1 ? v128.load_ext<u8>(at) : v128.load_ext<i8>(at);
}

/** What the first four of eight codes stand for, under a scale and a bias of `layScales`. */
export function lowerValues<C, Z>(
  codes: v128,
  places: v128,
  bits: v128,
  scale: v128,
  bias: v128,
): v128 {
  const q = sizeof<C>() == 1 ? nibbles<Z>(codes, places, bits) : i32x4.extend_low_i16x8_s(codes);
  return valuesOf<Z>(q, scale, bias);
}

/** The same of the others. */
export function upperValues<C, Z>(
  codes: v128,
  places: v128,
  bits: v128,
  scale: v128,
  bias: v128,
): v128 {
  const q = sizeof<C>() == 1 ? nibbles<Z>(codes, places, bits) : i32x4.extend_high_i16x8_s(codes);
  return valuesOf<Z>(q, scale, bias);
}

/** Four nibbles of a word, times a power of two. */
function nibbles<Z>(word: v128, places: v128, bits: v128): v128 {
  const placed = i32x4.dot_i16x8_s(word, places);
  return v128.and(sizeof<Z>() == 1 ? i32x4.shl(placed, 16) : placed, bits);
}

function valuesOf<Z>(codes: v128, scale: v128, bias: v128): v128 {
  const q = f32x4.convert_i32x4_s(codes);
  return sizeof<Z>() == 1 ? f32x4.mul(q, scale) : multiplyAdd(q, scale, bias);
}

/** Bytes of the scales of so many groups, and of their biases: see `layScales`. */
export function scaleBytes(groups: u32): usize {
  return <usize> ((groups + 7) & ~7) * 4;
}

/**
 * The scales of groups, then their biases if there are zero points: a code times one plus the other is
 * what it stands for, q s - z, or (q - z) s as q s - z s. Products of a code, or of a zero, and a scale
 * are exact, so that sums are rounded once, fused or not. `table` is that of `codeTable`.
 */
export function layScales<C, Z>(groups: usize, count: u32, table: usize, to: usize): void {
  const bits = v128.load(table, WIDEN_TABLE);
  const factor = v128.load(table, WIDEN_TABLE + 16);
  const beyond = v128.load(table, WIDEN_TABLE + 32);
  const infinite = v128.load(table, WIDEN_TABLE + 48);
  const back = f32x4.splat(
    sizeof<C>() == 2 ? 1 : sizeof<Z>() == 1 ? SIGNED_SCALE : NIBBLE_SCALE,
  );
  const apart = scaleBytes(count);
  for (const end = to + apart; to < end; to += 32) {
    const p = v128.load(groups);
    const q = v128.load(groups, 16);
    const s = widenedPlaced(i32x4.shr_s(i32x4.shl(p, 16), 3), bits, factor, beyond, infinite);
    const t = widenedPlaced(i32x4.shr_s(i32x4.shl(q, 16), 3), bits, factor, beyond, infinite);
    v128.store(to, f32x4.mul(s, back));
    v128.store(to, f32x4.mul(t, back), 16);
    if (sizeof<Z>() > 1) {
      const y = widenedPlaced(i32x4.shr_s(p, 3), bits, factor, beyond, infinite);
      const z = widenedPlaced(i32x4.shr_s(q, 3), bits, factor, beyond, infinite);
      const biases = to + apart;
      v128.store(biases, f32x4.neg(sizeof<Z>() == 2 ? f32x4.mul(y, s) : y));
      v128.store(biases, f32x4.neg(sizeof<Z>() == 2 ? f32x4.mul(z, t) : z), 16);
    }
    groups += 32;
  }
}
