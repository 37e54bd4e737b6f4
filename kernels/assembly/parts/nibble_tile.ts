import { sumsOfLanes } from "./packed_rows";

/** Bytes of a block: 16 bits can sum eight products of each. */
export const BLOCK: usize = 64;

/**
 * Rows of packed signed bytes by four columns of unsigned nibbles: as many rows as `R` has bytes, 1, 2
 * or 4. A row's sums go to 16 bytes from `to`.
 *
 * `blocks` blocks are summed, each under a factor of its column: `factors` has four of 16 bits for each
 * block. Where there are groups, the high byte of the 16 bits of each is subtracted from its weights;
 * sums of inputs for that lie behind the blocks of each row (see `putSums`). `mask` is 15 in each byte.
 */
export function nibbleTile<R>(
  x: usize,
  stride: usize,
  c0: usize,
  c1: usize,
  c2: usize,
  c3: usize,
  g0: usize,
  g1: usize,
  g2: usize,
  g3: usize,
  groups: usize,
  blocks: usize,
  factors: usize,
  mask: v128,
  to: usize,
): void {
  let s00 = i32x4.splat(0);
  let s01 = i32x4.splat(0);
  let s02 = i32x4.splat(0);
  let s03 = i32x4.splat(0);
  let s10 = i32x4.splat(0);
  let s11 = i32x4.splat(0);
  let s12 = i32x4.splat(0);
  let s13 = i32x4.splat(0);
  let s20 = i32x4.splat(0);
  let s21 = i32x4.splat(0);
  let s22 = i32x4.splat(0);
  let s23 = i32x4.splat(0);
  let s30 = i32x4.splat(0);
  let s31 = i32x4.splat(0);
  let s32 = i32x4.splat(0);
  let s33 = i32x4.splat(0);
  const x1 = stride;
  const x2 = 2 * stride;
  const x3 = 3 * stride;
  for (const end = x + blocks * BLOCK; x < end; x += BLOCK) {
    let v = v128.load(c0);
    let w = v128.load(c0, 16);
    let n0 = v128.and(v, mask);
    let n1 = v128.and(i16x8.shr_u(v, 4), mask);
    let n2 = v128.and(w, mask);
    let n3 = v128.and(i16x8.shr_u(w, 4), mask);
    let f = v128.load16_splat(factors);
    s00 = add(s00, x, n0, n1, n2, n3, f);
    if (sizeof<R>() > 1) s10 = add(s10, x + x1, n0, n1, n2, n3, f);
    if (sizeof<R>() > 2) s20 = add(s20, x + x2, n0, n1, n2, n3, f);
    if (sizeof<R>() > 2) s30 = add(s30, x + x3, n0, n1, n2, n3, f);
    v = v128.load(c1);
    w = v128.load(c1, 16);
    n0 = v128.and(v, mask);
    n1 = v128.and(i16x8.shr_u(v, 4), mask);
    n2 = v128.and(w, mask);
    n3 = v128.and(i16x8.shr_u(w, 4), mask);
    f = v128.load16_splat(factors, 2);
    s01 = add(s01, x, n0, n1, n2, n3, f);
    if (sizeof<R>() > 1) s11 = add(s11, x + x1, n0, n1, n2, n3, f);
    if (sizeof<R>() > 2) s21 = add(s21, x + x2, n0, n1, n2, n3, f);
    if (sizeof<R>() > 2) s31 = add(s31, x + x3, n0, n1, n2, n3, f);
    v = v128.load(c2);
    w = v128.load(c2, 16);
    n0 = v128.and(v, mask);
    n1 = v128.and(i16x8.shr_u(v, 4), mask);
    n2 = v128.and(w, mask);
    n3 = v128.and(i16x8.shr_u(w, 4), mask);
    f = v128.load16_splat(factors, 4);
    s02 = add(s02, x, n0, n1, n2, n3, f);
    if (sizeof<R>() > 1) s12 = add(s12, x + x1, n0, n1, n2, n3, f);
    if (sizeof<R>() > 2) s22 = add(s22, x + x2, n0, n1, n2, n3, f);
    if (sizeof<R>() > 2) s32 = add(s32, x + x3, n0, n1, n2, n3, f);
    v = v128.load(c3);
    w = v128.load(c3, 16);
    n0 = v128.and(v, mask);
    n1 = v128.and(i16x8.shr_u(v, 4), mask);
    n2 = v128.and(w, mask);
    n3 = v128.and(i16x8.shr_u(w, 4), mask);
    f = v128.load16_splat(factors, 6);
    s03 = add(s03, x, n0, n1, n2, n3, f);
    if (sizeof<R>() > 1) s13 = add(s13, x + x1, n0, n1, n2, n3, f);
    if (sizeof<R>() > 2) s23 = add(s23, x + x2, n0, n1, n2, n3, f);
    if (sizeof<R>() > 2) s33 = add(s33, x + x3, n0, n1, n2, n3, f);
    c0 += 32;
    c1 += 32;
    c2 += 32;
    c3 += 32;
    factors += 8;
  }
  if (g0) {
    const above = ((groups + 7) & ~7) * 2;
    for (let g: usize = 0; g < groups; g += 8) {
      const z0 = i16x8.shr_s(v128.load(g0 + 2 * g), 8);
      const z1 = i16x8.shr_s(v128.load(g1 + 2 * g), 8);
      const z2 = i16x8.shr_s(v128.load(g2 + 2 * g), 8);
      const z3 = i16x8.shr_s(v128.load(g3 + 2 * g), 8);
      const sums = x + 2 * g;
      s00 = subtract(s00, sums, above, z0);
      s01 = subtract(s01, sums, above, z1);
      s02 = subtract(s02, sums, above, z2);
      s03 = subtract(s03, sums, above, z3);
      if (sizeof<R>() > 1) {
        s10 = subtract(s10, sums + x1, above, z0);
        s11 = subtract(s11, sums + x1, above, z1);
        s12 = subtract(s12, sums + x1, above, z2);
        s13 = subtract(s13, sums + x1, above, z3);
      }
      if (sizeof<R>() > 2) {
        s20 = subtract(s20, sums + x2, above, z0);
        s21 = subtract(s21, sums + x2, above, z1);
        s22 = subtract(s22, sums + x2, above, z2);
        s23 = subtract(s23, sums + x2, above, z3);
        s30 = subtract(s30, sums + x3, above, z0);
        s31 = subtract(s31, sums + x3, above, z1);
        s32 = subtract(s32, sums + x3, above, z2);
        s33 = subtract(s33, sums + x3, above, z3);
      }
    }
  }
  v128.store(to, sumsOfLanes(s00, s01, s02, s03));
  if (sizeof<R>() > 1) v128.store(to, sumsOfLanes(s10, s11, s12, s13), 16);
  if (sizeof<R>() > 2) v128.store(to, sumsOfLanes(s20, s21, s22, s23), 32);
  if (sizeof<R>() > 2) v128.store(to, sumsOfLanes(s30, s31, s32, s33), 48);
}

/** Adds 64 products under a factor: sums of 8 of them have 16 bits. */
function add(sum: v128, x: usize, n0: v128, n1: v128, n2: v128, n3: v128, factor: v128): v128 {
  const even = i16x8.add(dot(v128.load(x), n0), dot(v128.load(x, 16), n1));
  const odd = i16x8.add(dot(v128.load(x, 32), n2), dot(v128.load(x, 48), n3));
  return i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.add(even, odd), factor));
}

function dot(x: v128, nibbles: v128): v128 {
  return i16x8.relaxed_dot_i8x16_i7x16_s(x, nibbles);
}

function subtract(sum: v128, sums: usize, above: usize, zeros: v128): v128 {
  const high = i32x4.dot_i16x8_s(v128.load(sums + above), zeros);
  return i32x4.sub(
    i32x4.sub(sum, i32x4.dot_i16x8_s(v128.load(sums), zeros)),
    i32x4.shl(high, 15),
  );
}
