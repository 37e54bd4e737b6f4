/**
 * Bytes of a row in the order in which nibbles of words come: of each 32 the even columns, then the
 * odd ones. What is left of `padded` bytes, a multiple of 32, is zero.
 */
export function packRow(x: usize, inner: usize, to: usize, padded: usize): void {
  for (let k: usize = 0; k < inner; k += 32) {
    const a = v128.load(x + k);
    const b = v128.load(x + k, 16);
    const even = v128.shuffle<i8>(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const odd = v128.shuffle<i8>(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    v128.store(to + k, even);
    v128.store(to + k, odd, 16);
  }
  const rest = (inner & 31) / 2;
  if (rest) {
    const last = to + (inner & ~31);
    memory.fill(last + rest, 0, 16 - rest);
    memory.fill(last + 16 + rest, 0, 16 - rest);
  }
  const end = (inner + 31) & ~31;
  memory.fill(to + end, 0, padded - end);
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

/** Bytes that the sums of so many groups take: see `putSums`. */
export function sumBytes(groups: usize): usize {
  return ((groups + 7) & ~7) * 4;
}

/**
 * Sums of the groups of a packed row, each as low 15 bits and the bits above: all low parts, then
 * all high ones, with 16 bits each and zeros behind to whole vectors.
 */
export function putSums(packed: usize, group: usize, groups: usize, to: usize): void {
  const half = sumBytes(groups) / 2;
  for (let g: usize = 0; g < half / 2; g += 4) {
    const first = packed + g * group;
    const sums = sumsOfLanes(
      sumOfBytes(first, g < groups ? group : 0),
      sumOfBytes(first + group, g + 1 < groups ? group : 0),
      sumOfBytes(first + 2 * group, g + 2 < groups ? group : 0),
      sumOfBytes(first + 3 * group, g + 3 < groups ? group : 0),
    );
    const low = v128.and(sums, i32x4.splat(0x7fff));
    const both = i16x8.narrow_i32x4_s(low, i32x4.shr_s(sums, 15));
    v128.store64_lane(to + 2 * g, both, 0);
    v128.store64_lane(to + half + 2 * g, both, 1);
  }
}

/** Four sums that together are that of signed bytes, a multiple of 16. */
function sumOfBytes(from: usize, count: usize): v128 {
  let sum = i32x4.splat(0);
  for (const end = from + count; from < end; from += 16) {
    const pairs = i16x8.extadd_pairwise_i8x16_s(v128.load(from));
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
