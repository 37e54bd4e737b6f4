import { BLOCK } from "./nibble_tile";
import { sumsOfLanes } from "./packed_rows";

/** Two vectors of sums of a row by a column; those of a row by four columns. */
const PAIR_BYTES: usize = 32;
const ROW_BYTES: usize = 128;

/**
 * Exact sums of rows of packed signed bytes by four columns of unsigned nibbles over a group of whole blocks: as many
 * rows as `R` has bytes, 1, 2 or 4. A row's sums go to 16 bytes from `to`, behind which they lie in pairs before. At
 * `mask` there is 15 in each byte, at `ones` 1 in each 16 bits.
 */
export function groupTile<R>(
  x: usize,
  stride: usize,
  c0: usize,
  c1: usize,
  c2: usize,
  c3: usize,
  blocks: usize,
  mask: usize,
  ones: usize,
  to: usize,
): void {
  const pairs = to + 64;
  twoColumns<R>(x, stride, c0, c1, blocks, mask, ones, pairs);
  twoColumns<R>(x, stride, c2, c3, blocks, mask, ones, pairs + 2 * PAIR_BYTES);
  for (let row: usize = 0; row < sizeof<R>(); row++) {
    const from = pairs + row * ROW_BYTES;
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
  blocks: usize,
  mask: usize,
  ones: usize,
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
  const fifteens = v128.load(mask);
  const f = v128.load16_splat(ones);
  const x1 = stride;
  const x2 = 2 * stride;
  const x3 = 3 * stride;
  for (const end = x + blocks * BLOCK; x < end; x += BLOCK) {
    let v = v128.load(c0);
    let w = v128.load(c0, 16);
    let el = v128.and(v, fifteens);
    let eh = v128.and(w, fifteens);
    let ol = v128.and(i16x8.shr_u(v, 4), fifteens);
    let oh = v128.and(i16x8.shr_u(w, 4), fifteens);
    s00l = add(s00l, x, el, ol, f);
    s00h = addUpper(s00h, x, eh, oh, f);
    if (sizeof<R>() > 1) s10l = add(s10l, x + x1, el, ol, f);
    if (sizeof<R>() > 1) s10h = addUpper(s10h, x + x1, eh, oh, f);
    if (sizeof<R>() > 2) s20l = add(s20l, x + x2, el, ol, f);
    if (sizeof<R>() > 2) s20h = addUpper(s20h, x + x2, eh, oh, f);
    if (sizeof<R>() > 2) s30l = add(s30l, x + x3, el, ol, f);
    if (sizeof<R>() > 2) s30h = addUpper(s30h, x + x3, eh, oh, f);
    v = v128.load(c1);
    w = v128.load(c1, 16);
    el = v128.and(v, fifteens);
    eh = v128.and(w, fifteens);
    ol = v128.and(i16x8.shr_u(v, 4), fifteens);
    oh = v128.and(i16x8.shr_u(w, 4), fifteens);
    s01l = add(s01l, x, el, ol, f);
    s01h = addUpper(s01h, x, eh, oh, f);
    if (sizeof<R>() > 1) s11l = add(s11l, x + x1, el, ol, f);
    if (sizeof<R>() > 1) s11h = addUpper(s11h, x + x1, eh, oh, f);
    if (sizeof<R>() > 2) s21l = add(s21l, x + x2, el, ol, f);
    if (sizeof<R>() > 2) s21h = addUpper(s21h, x + x2, eh, oh, f);
    if (sizeof<R>() > 2) s31l = add(s31l, x + x3, el, ol, f);
    if (sizeof<R>() > 2) s31h = addUpper(s31h, x + x3, eh, oh, f);
    c0 += 32;
    c1 += 32;
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

/** Adds half of 64 products: sums of 4 of them have 16 bits. */
function add(sum: v128, x: usize, even: v128, odd: v128, ones: v128): v128 {
  const sums = i16x8.add(dot(v128.load(x), even), dot(v128.load(x, 32), odd));
  return i32x4.add(sum, i32x4.dot_i16x8_s(sums, ones));
}

/** The other half. */
function addUpper(sum: v128, x: usize, even: v128, odd: v128, ones: v128): v128 {
  const sums = i16x8.add(dot(v128.load(x, 16), even), dot(v128.load(x, 48), odd));
  return i32x4.add(sum, i32x4.dot_i16x8_s(sums, ones));
}

function dot(x: v128, nibbles: v128): v128 {
  return i16x8.relaxed_dot_i8x16_i7x16_s(x, nibbles);
}
