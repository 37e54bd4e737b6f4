/**
 * Bytes of the factors of so many groups, each of `per` blocks, or halves of one where `F` has four
 * bytes: see `layFactors`.
 */
export function factorBytes<F>(groups: usize, per: usize): usize {
  return ((groups + 7) & ~7) * per * 4 * sizeof<F>();
}

/**
 * The scales of four columns, as `nibbleTile` takes them: the low byte of a group's 16 bits, for each
 * of the `per` blocks that the group has, or halves of one where `F` has four bytes. Gives whether no
 * weight can be beyond a signed byte.
 */
export function layFactors<F>(
  g0: usize,
  g1: usize,
  g2: usize,
  g3: usize,
  groups: usize,
  per: usize,
  to: usize,
): bool {
  let most = i16x8.splat(0);
  let least = i16x8.splat(0);
  for (let g: usize = 0; g < groups; g += 8) {
    const p0 = v128.load(g0 + 2 * g);
    const p1 = v128.load(g1 + 2 * g);
    const p2 = v128.load(g2 + 2 * g);
    const p3 = v128.load(g3 + 2 * g);
    const s0 = scales(p0);
    const s1 = scales(p1);
    const s2 = scales(p2);
    const s3 = scales(p3);
    most = i16x8.max_s(most, i16x8.max_s(largest(s0, p0), largest(s1, p1)));
    most = i16x8.max_s(most, i16x8.max_s(largest(s2, p2), largest(s3, p3)));
    least = i16x8.min_s(least, i16x8.min_s(i16x8.min_s(p0, p1), i16x8.min_s(p2, p3)));
    const a = v128.shuffle<i16>(s0, s1, 0, 8, 1, 9, 2, 10, 3, 11);
    const b = v128.shuffle<i16>(s2, s3, 0, 8, 1, 9, 2, 10, 3, 11);
    const c = v128.shuffle<i16>(s0, s1, 4, 12, 5, 13, 6, 14, 7, 15);
    const d = v128.shuffle<i16>(s2, s3, 4, 12, 5, 13, 6, 14, 7, 15);
    to = layTwo<F>(v128.shuffle<i32>(a, b, 0, 4, 1, 5), per, to);
    to = layTwo<F>(v128.shuffle<i32>(a, b, 2, 6, 3, 7), per, to);
    to = layTwo<F>(v128.shuffle<i32>(c, d, 0, 4, 1, 5), per, to);
    to = layTwo<F>(v128.shuffle<i32>(c, d, 2, 6, 3, 7), per, to);
  }
  const beyond = v128.or(
    i16x8.gt_s(most, i16x8.splat(127)),
    i16x8.lt_s(least, i16x8.splat(-127 * 256)),
  );
  return !v128.any_true(beyond);
}

/** The low bytes of 16 bits each. */
function scales(pairs: v128): v128 {
  return i16x8.shr_u(i16x8.shl(pairs, 8), 8);
}

/** 15 times scales, less the zeros. */
function largest(scales: v128, pairs: v128): v128 {
  return i16x8.sub(i16x8.sub(i16x8.shl(scales, 4), scales), i16x8.shr_s(pairs, 8));
}

/** The factors of two groups; gives where the next ones go. */
function layTwo<F>(factors: v128, per: usize, to: usize): usize {
  if (sizeof<F>() == 4) {
    to = layTwice(v128.shuffle<i16>(factors, factors, 0, 8, 1, 9, 2, 10, 3, 11), per, to);
    return layTwice(v128.shuffle<i16>(factors, factors, 4, 12, 5, 13, 6, 14, 7, 15), per, to);
  }
  if (per === 1) {
    v128.store(to, factors);
    return to + 16;
  }
  for (let i: usize = 0; i < per; i++) v128.store64_lane(to + 8 * i, factors, 0);
  to += 8 * per;
  for (let i: usize = 0; i < per; i++) v128.store64_lane(to + 8 * i, factors, 1);
  return to + 8 * per;
}

/** The factors of a group, each twice. */
function layTwice(factors: v128, per: usize, to: usize): usize {
  for (const end = to + 16 * per; to < end; to += 16) v128.store(to, factors);
  return to;
}
