import { sumsOfLanes } from "./packed_rows";

/**
 * Rows of 16 bits by four columns of signed bytes, `count` values each, a multiple of 8: as many rows
 * as `R` has bytes, 1, 2 or 4. A row's sums go to 16 bytes from `to`.
 */
export function byteTile<R>(
  x: usize,
  stride: usize,
  c0: usize,
  c1: usize,
  c2: usize,
  c3: usize,
  count: usize,
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
  let x1 = x + stride;
  let x2 = x1 + stride;
  let x3 = x2 + stride;
  for (const end = c0 + count; c0 < end; c0 += 8) {
    let w = v128.load_ext<i8>(c0);
    const l0 = v128.load(x);
    s00 = add(s00, l0, w);
    const l1 = sizeof<R>() > 1 ? v128.load(x1) : l0;
    if (sizeof<R>() > 1) s10 = add(s10, l1, w);
    const l2 = sizeof<R>() > 2 ? v128.load(x2) : l0;
    const l3 = sizeof<R>() > 2 ? v128.load(x3) : l0;
    if (sizeof<R>() > 2) s20 = add(s20, l2, w);
    if (sizeof<R>() > 2) s30 = add(s30, l3, w);
    w = v128.load_ext<i8>(c1);
    s01 = add(s01, l0, w);
    if (sizeof<R>() > 1) s11 = add(s11, l1, w);
    if (sizeof<R>() > 2) s21 = add(s21, l2, w);
    if (sizeof<R>() > 2) s31 = add(s31, l3, w);
    w = v128.load_ext<i8>(c2);
    s02 = add(s02, l0, w);
    if (sizeof<R>() > 1) s12 = add(s12, l1, w);
    if (sizeof<R>() > 2) s22 = add(s22, l2, w);
    if (sizeof<R>() > 2) s32 = add(s32, l3, w);
    w = v128.load_ext<i8>(c3);
    s03 = add(s03, l0, w);
    if (sizeof<R>() > 1) s13 = add(s13, l1, w);
    if (sizeof<R>() > 2) s23 = add(s23, l2, w);
    if (sizeof<R>() > 2) s33 = add(s33, l3, w);
    c1 += 8;
    c2 += 8;
    c3 += 8;
    x += 16;
    x1 += 16;
    x2 += 16;
    x3 += 16;
  }
  v128.store(to, sumsOfLanes(s00, s01, s02, s03));
  if (sizeof<R>() > 1) v128.store(to, sumsOfLanes(s10, s11, s12, s13), 16);
  if (sizeof<R>() > 2) v128.store(to, sumsOfLanes(s20, s21, s22, s23), 32);
  if (sizeof<R>() > 2) v128.store(to, sumsOfLanes(s30, s31, s32, s33), 48);
}

function add(sum: v128, a: v128, b: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(a, b));
}
