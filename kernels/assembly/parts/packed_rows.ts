/**
 * Bytes of a row in the order in which nibbles of words come: of each 64 the even columns, then the
 * odd ones. What is left of `padded` bytes, a multiple of 64, is zero.
 */
export function packRow(x: usize, inner: usize, to: usize, padded: usize): void {
  const whole = inner & ~63;
  packBlocks(x, whole, to);
  if (whole == padded) return;
  // What lies behind the row is read too, and taken out.
  packBlocks(x + whole, 64, to + whole);
  const rest = (inner & 63) / 2;
  memory.fill(to + whole + rest, 0, 32 - rest);
  memory.fill(to + whole + 32 + rest, 0, 32 - rest);
}

function packBlocks(x: usize, count: usize, to: usize): void {
  for (let k: usize = 0; k < count; k += 64) {
    for (let at = k; at < k + 32; at += 16) {
      const a = v128.load(x + 2 * at - k);
      const b = v128.load(x + 2 * at - k, 16);
      v128.store(
        to + at,
        v128.shuffle<i8>(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
      );
      v128.store(
        to + at,
        v128.shuffle<i8>(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31),
        32,
      );
    }
  }
}

/** Bytes of a row as they are, with zeros behind them. */
export function copyRow(x: usize, inner: usize, to: usize, padded: usize): void {
  memory.copy(to, x, inner);
  memory.fill(to + inner, 0, padded - inner);
}

/** Signed bytes, a multiple of 16, with 16 bits each. */
export function widenBytes(from: usize, count: usize, to: usize): void {
  for (let k: usize = 0; k < count; k += 16) {
    v128.store(to + 2 * k, v128.load_ext<i8>(from + k));
    v128.store(to + 2 * k, v128.load_ext<i8>(from + k, 8), 16);
  }
}

/** Values whose sum has 16 bits. */
const SHORT: usize = 256;

/** Bytes that the sums of so many groups take: see `putSums`. */
export function sumBytes(groups: usize): usize {
  return ((groups + 7) & ~7) * 4;
}

/** Bytes from the sums of groups to their high parts; 0 where they have none. */
export function highSums(group: usize, groups: usize): usize {
  return group > SHORT ? sumBytes(groups) / 2 : 0;
}

/**
 * Sums of the groups of a packed row, multiples of 32, of 16 bits each with zeros behind to whole
 * vectors. Where that is not enough, they are the low 15 bits, and all that is above comes behind them.
 */
export function putSums(packed: usize, group: usize, groups: usize, to: usize): void {
  const half = sumBytes(groups) / 2;
  const high = highSums(group, groups);
  const end = group * groups;
  for (let first: usize = 0, at: usize = 0; at < half; at += 8) {
    const second = min(first + group, end);
    const third = min(second + group, end);
    const fourth = min(third + group, end);
    const behind = min(fourth + group, end);
    const sums = sumsOfLanes(
      sumOfBytes(packed, first, second),
      sumOfBytes(packed, second, third),
      sumOfBytes(packed, third, fourth),
      sumOfBytes(packed, fourth, behind),
    );
    const low = high ? v128.and(sums, i32x4.splat(0x7fff)) : sums;
    const both = i16x8.narrow_i32x4_s(low, i32x4.shr_s(sums, 15));
    v128.store64_lane(to + at, both, 0);
    v128.store64_lane(to + half + at, both, 1);
    first = behind;
  }
}

/** Four sums that together are that of some columns of a packed row, multiples of 32. */
function sumOfBytes(packed: usize, column: usize, end: usize): v128 {
  let sum = i32x4.splat(0);
  for (; column < end; column += 32) {
    const even = packed + (column & ~63) + (column & 32) / 2;
    const pairs = i16x8.add(
      i16x8.extadd_pairwise_i8x16_s(v128.load(even)),
      i16x8.extadd_pairwise_i8x16_s(v128.load(even, 32)),
    );
    sum = i32x4.add(sum, i32x4.extadd_pairwise_i16x8_s(pairs));
  }
  return sum;
}

/** The sums of four lanes of four vectors. */
export function sumsOfLanes(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
  return i32x4.add(v128.shuffle<i32>(ab, cd, 0, 1, 4, 5), v128.shuffle<i32>(ab, cd, 2, 3, 6, 7));
}
