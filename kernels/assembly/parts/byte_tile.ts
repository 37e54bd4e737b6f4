import { sumsOfLanes } from "./packed_rows";

/** Two vectors of sums of a row by a column; those of a row. */
const PAIR_BYTES: usize = 32;

/**
 * Rows of 16 bits by four columns of signed bytes, `count` values each, a multiple of 16: as many rows
 * as `R` has bytes, 1, 2 or 4. A row's sums go to 16 bytes from `to`, behind which they lie in pairs
 * before.
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
  const pairs = to + 64;
  twoColumns<R>(x, stride, c0, c1, count, pairs);
  twoColumns<R>(x, stride, c2, c3, count, pairs + 2 * PAIR_BYTES);
  for (let row: usize = 0; row < sizeof<R>(); row++) {
    const from = pairs + row * 4 * PAIR_BYTES;
    const made = sumsOfLanes(joined(from), joined(from + 32), joined(from + 64), joined(from + 96));
    v128.store(to + 16 * row, made);
  }
}

function joined(pair: usize): v128 {
  return i32x4.add(v128.load(pair), v128.load(pair, 16));
}

/** Rows by two columns, a pair of vectors each. */
function twoColumns<R>(
  x: usize,
  stride: usize,
  c0: usize,
  c1: usize,
  count: usize,
  to: usize,
): void {
  let s00l = i32x4.splat(0);
  let s00h = i32x4.splat(0);
  let s01l = i32x4.splat(0);
  let s01h = i32x4.splat(0);
  let s10l = i32x4.splat(0);
  let s10h = i32x4.splat(0);
  let s11l = i32x4.splat(0);
  let s11h = i32x4.splat(0);
  let s20l = i32x4.splat(0);
  let s20h = i32x4.splat(0);
  let s21l = i32x4.splat(0);
  let s21h = i32x4.splat(0);
  let s30l = i32x4.splat(0);
  let s30h = i32x4.splat(0);
  let s31l = i32x4.splat(0);
  let s31h = i32x4.splat(0);
  let x1 = x + stride;
  let x2 = x1 + stride;
  let x3 = x2 + stride;
  for (const end = c0 + count; c0 < end; c0 += 16) {
    const l0 = v128.load_ext<i8>(c0);
    const h0 = v128.load_ext<i8>(c0, 8);
    const l1 = v128.load_ext<i8>(c1);
    const h1 = v128.load_ext<i8>(c1, 8);
    let l = v128.load(x);
    let h = v128.load(x, 16);
    s00l = add(s00l, l, l0);
    s00h = add(s00h, h, h0);
    s01l = add(s01l, l, l1);
    s01h = add(s01h, h, h1);
    if (sizeof<R>() > 1) {
      l = v128.load(x1);
      h = v128.load(x1, 16);
      s10l = add(s10l, l, l0);
      s10h = add(s10h, h, h0);
      s11l = add(s11l, l, l1);
      s11h = add(s11h, h, h1);
    }
    if (sizeof<R>() > 2) {
      l = v128.load(x2);
      h = v128.load(x2, 16);
      s20l = add(s20l, l, l0);
      s20h = add(s20h, h, h0);
      s21l = add(s21l, l, l1);
      s21h = add(s21h, h, h1);

      l = v128.load(x3);
      h = v128.load(x3, 16);
      s30l = add(s30l, l, l0);
      s30h = add(s30h, h, h0);
      s31l = add(s31l, l, l1);
      s31h = add(s31h, h, h1);
    }
    c1 += 16;
    x += 32;
    x1 += 32;
    x2 += 32;
    x3 += 32;
  }
  v128.store(to, s00l);
  v128.store(to, s00h, 16);
  v128.store(to, s01l, 32);
  v128.store(to, s01h, 48);
  if (sizeof<R>() > 1) v128.store(to, s10l, 128);
  if (sizeof<R>() > 1) v128.store(to, s10h, 144);
  if (sizeof<R>() > 1) v128.store(to, s11l, 160);
  if (sizeof<R>() > 1) v128.store(to, s11h, 176);
  if (sizeof<R>() > 2) v128.store(to, s20l, 256);
  if (sizeof<R>() > 2) v128.store(to, s20h, 272);
  if (sizeof<R>() > 2) v128.store(to, s21l, 288);
  if (sizeof<R>() > 2) v128.store(to, s21h, 304);
  if (sizeof<R>() > 2) v128.store(to, s30l, 384);
  if (sizeof<R>() > 2) v128.store(to, s30h, 400);
  if (sizeof<R>() > 2) v128.store(to, s31l, 416);
  if (sizeof<R>() > 2) v128.store(to, s31h, 432);
}

function add(sum: v128, a: v128, b: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(a, b));
}
