/**
 * Nibbles of a column as signed bytes, in the order of `packRow`, to `padded` of them. In groups a
 * weight is q s - z, wrapping.
 */
export function expandNibbles(
  codes: usize,
  groups: usize,
  group: usize,
  padded: usize,
  to: usize,
): void {
  for (let k: usize = 0; k < padded; k += 32) {
    const words = v128.load(codes + k / 2);
    let low = v128.and(words, i8x16.splat(15));
    let high = v128.and(i16x8.shr_u(words, 4), i8x16.splat(15));
    if (groups) {
      const first = pairOf(groups, group, k);
      const second = pairOf(groups, group, k + 16);
      low = weights(low, first, second);
      high = weights(high, first, second);
    }
    const at = to + (k & ~63) + (k & 32) / 2;
    v128.store(at, low);
    v128.store(at, high, 32);
  }
}

/** Scale and zero of two times eight columns: 16 bits for each four of the even or odd ones. */
function pairOf(groups: usize, group: usize, k: usize): v128 {
  const first = i16x8.splat(load<i16>(groups + k / group * 2));
  const second = i16x8.splat(load<i16>(groups + (k + 8) / group * 2));
  return v128.shuffle<i64>(first, second, 0, 2);
}

/** The low bytes of codes times scales, less zeros: those of the first eight, and of the second. */
function weights(codes: v128, first: v128, second: v128): v128 {
  const low = whole(i16x8.extend_low_i8x16_u(codes), first);
  const high = whole(i16x8.extend_high_i8x16_u(codes), second);
  return v128.shuffle<i8>(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}

function whole(codes: v128, pairs: v128): v128 {
  const scales = v128.and(pairs, i16x8.splat(0xff));
  return i16x8.sub(i16x8.mul(codes, scales), i16x8.shr_u(pairs, 8));
}

/** Whether q s - z is no signed byte for some weight of a column; groups are multiples of 32. */
export function wraps(codes: usize, groups: usize, group: usize, count: usize): bool {
  for (let g: usize = 0; g < count; g += 8) {
    const pairs = v128.load(groups + 2 * g);
    const zeros = i16x8.shr_s(pairs, 8);
    const scales = v128.and(pairs, i16x8.splat(0xff));
    const most = i16x8.sub(i16x8.mul(scales, i16x8.splat(15)), zeros);
    const beyond = v128.or(
      i16x8.gt_s(most, i16x8.splat(127)),
      i16x8.eq(zeros, i16x8.splat(-128)),
    );
    if (!v128.any_true(beyond)) continue;
    for (let i = g; i < min(g + 8, count); i++) {
      if (groupWraps(codes + i * group / 2, group, load<u16>(groups + 2 * i))) return true;
    }
  }
  return false;
}

function groupWraps(codes: usize, group: usize, pair: u32): bool {
  const scale: i32 = pair & 0xff;
  const zero = <i32> <i8> (pair >> 8);
  if (15 * scale - zero <= 127 && zero > -128) return false;
  let most = i8x16.splat(0);
  let least = i8x16.splat(15);
  for (let k: usize = 0; k < group / 2; k += 16) {
    const words = v128.load(codes + k);
    const low = v128.and(words, i8x16.splat(15));
    const high = v128.and(i16x8.shr_u(words, 4), i8x16.splat(15));
    most = i8x16.max_u(most, i8x16.max_u(low, high));
    least = i8x16.min_u(least, i8x16.min_u(low, high));
  }
  for (let code: i32 = 0; code < 16; code++) {
    const weight = code * scale - zero;
    if (weight <= 127) continue;
    if (
      v128.any_true(i8x16.ge_u(most, i8x16.splat(<i8> code))) &&
      v128.any_true(i8x16.le_u(least, i8x16.splat(<i8> code)))
    ) return true;
  }
  return false;
}
