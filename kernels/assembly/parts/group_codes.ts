/** Values of a group filled up to whole vectors of bytes. */
export function padGroup(group: usize): usize {
  return (group + 15) & ~15;
}

/** Signed bytes of a group, a multiple of 8, with 16 bits each, and zeros behind them up to `padded`. */
export function widenGroup(from: usize, group: usize, padded: usize, to: usize): void {
  for (let k: usize = 0; k < group; k += 8) v128.store(to + 2 * k, v128.load_ext<i8>(from + k));
  memory.fill(to + 2 * group, 0, 2 * (padded - group));
}

/** A group of codes, a multiple of 8, as bytes in their order, and zeros behind them up to `padded`. */
export function expandGroup(
  codes: usize,
  group: usize,
  padded: usize,
  bytes: bool,
  to: usize,
): void {
  if (bytes) memory.copy(to, codes, group);
  else {
    for (let k: usize = 0; k < group; k += 8) {
      // Four bytes with two codes each, the even one low.
      const word = v128.load32_zero(codes + k / 2);
      const low = v128.and(word, i8x16.splat(15));
      const high = v128.and(i16x8.shr_u(word, 4), i8x16.splat(15));
      const both = v128.shuffle<i8>(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 0, 0, 0, 0, 0, 0, 0, 0);
      v128.store64_lane(to + k, both, 0);
    }
  }
  memory.fill(to + group, 0, padded - group);
}
