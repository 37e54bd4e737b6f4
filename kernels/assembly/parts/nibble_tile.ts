import { sumsOfLanes } from "./packed_rows";

/** Values of a block: 16 bits can sum eight products of each. */
export const BLOCK: usize = 64;
/** Values of its halves, which may have factors of their own. */
export const HALF: usize = 32;
/** Bytes of what `nibbleTile` makes, and of its sums on the way there. */
export const TILE_BYTES: usize = 64 + 512;
/** Two vectors of sums of a row by a column; those of a row. */
const PAIR_BYTES: usize = 32;
const ROW_BYTES: usize = 128;

/**
 * Rows of packed signed bytes by four columns of unsigned nibbles: as many rows as `R` has bytes, 1, 2
 * or 4. A row's sums go to 16 bytes from `to`.
 *
 * `blocks` blocks are summed, each under a factor of its column: `factors` has four of 16 bits for each
 * block where `F` has two bytes, and for each half of one, twice, where it has four. Where there are
 * groups, the high byte of the 16 bits of each is subtracted from its weights; sums of inputs for that
 * lie behind the blocks of each row, their high parts `above` bytes on, if they have any (see `putSums`).
 * At `mask` there is 15 in each byte.
 */
export function nibbleTile<R, F>(
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
  above: usize,
  blocks: usize,
  factors: usize,
  mask: usize,
  to: usize,
): void {
  const pairs = to + 64;
  const step = blockFactors<F>();
  const more = factors + 2 * sizeof<F>();
  nibblePairs<R, F>(x, stride, c0, c1, blocks, factors, step, mask, pairs);
  nibblePairs<R, F>(x, stride, c2, c3, blocks, more, step, mask, pairs + 2 * PAIR_BYTES);
  finishTile<R>(x + blocks * BLOCK, stride, g0, g1, g2, g3, groups, above, to);
}

/** Bytes of the factors of a block of four columns. */
function blockFactors<F>(): usize {
  return sizeof<F>() == 2 ? 8 : 32;
}

/** Joins pairs behind `to`, subtracts zeros times the sums of groups at `sums`, and puts the rows to `to`. */
function finishTile<R>(
  sums: usize,
  stride: usize,
  g0: usize,
  g1: usize,
  g2: usize,
  g3: usize,
  groups: usize,
  above: usize,
  to: usize,
): void {
  const pairs = to + 64;
  finishColumn<R>(sums, stride, g0, groups, above, pairs);
  finishColumn<R>(sums, stride, g1, groups, above, pairs + PAIR_BYTES);
  finishColumn<R>(sums, stride, g2, groups, above, pairs + 2 * PAIR_BYTES);
  finishColumn<R>(sums, stride, g3, groups, above, pairs + 3 * PAIR_BYTES);
  for (let row: usize = 0; row < sizeof<R>(); row++) {
    const from = pairs + row * ROW_BYTES;
    const made = sumsOfLanes(
      v128.load(from),
      v128.load(from, 32),
      v128.load(from, 64),
      v128.load(from, 96),
    );
    v128.store(to + 16 * row, made);
  }
}

/**
 * Rows by two columns, a pair of vectors each from `to`, rows 128 bytes apart: each block under the two
 * factors at `factors`, which go `step` bytes on behind it. `F` is that of `nibbleTile`.
 */
export function nibblePairs<R, F>(
  x: usize,
  stride: usize,
  c0: usize,
  c1: usize,
  blocks: usize,
  factors: usize,
  step: usize,
  mask: usize,
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
    let f = factor<F>(factors);
    let g = upperFactor<F>(factors, f);
    s00l = add(s00l, x, el, ol, f);
    s00h = addUpper(s00h, x, eh, oh, g);
    if (sizeof<R>() > 1) s10l = add(s10l, x + x1, el, ol, f);
    if (sizeof<R>() > 1) s10h = addUpper(s10h, x + x1, eh, oh, g);
    if (sizeof<R>() > 2) s20l = add(s20l, x + x2, el, ol, f);
    if (sizeof<R>() > 2) s20h = addUpper(s20h, x + x2, eh, oh, g);
    if (sizeof<R>() > 2) s30l = add(s30l, x + x3, el, ol, f);
    if (sizeof<R>() > 2) s30h = addUpper(s30h, x + x3, eh, oh, g);
    v = v128.load(c1);
    w = v128.load(c1, 16);
    el = v128.and(v, fifteens);
    eh = v128.and(w, fifteens);
    ol = v128.and(i16x8.shr_u(v, 4), fifteens);
    oh = v128.and(i16x8.shr_u(w, 4), fifteens);
    f = factor<F>(factors + sizeof<F>());
    g = upperFactor<F>(factors + sizeof<F>(), f);
    s01l = add(s01l, x, el, ol, f);
    s01h = addUpper(s01h, x, eh, oh, g);
    if (sizeof<R>() > 1) s11l = add(s11l, x + x1, el, ol, f);
    if (sizeof<R>() > 1) s11h = addUpper(s11h, x + x1, eh, oh, g);
    if (sizeof<R>() > 2) s21l = add(s21l, x + x2, el, ol, f);
    if (sizeof<R>() > 2) s21h = addUpper(s21h, x + x2, eh, oh, g);
    if (sizeof<R>() > 2) s31l = add(s31l, x + x3, el, ol, f);
    if (sizeof<R>() > 2) s31h = addUpper(s31h, x + x3, eh, oh, g);
    c0 += 32;
    c1 += 32;
    factors += step;
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

/**
 * `nibbleTile` of a row alone, which goes along four columns at once: memory is read ahead of each of them.
 */
export function nibbleLine<F>(
  x: usize,
  c0: usize,
  c1: usize,
  c2: usize,
  c3: usize,
  g0: usize,
  g1: usize,
  g2: usize,
  g3: usize,
  groups: usize,
  above: usize,
  blocks: usize,
  factors: usize,
  mask: usize,
  to: usize,
): void {
  let s0l = i32x4.splat(0);
  let s0h = i32x4.splat(0);
  let s1l = i32x4.splat(0);
  let s1h = i32x4.splat(0);
  let s2l = i32x4.splat(0);
  let s2h = i32x4.splat(0);
  let s3l = i32x4.splat(0);
  let s3h = i32x4.splat(0);
  const fifteens = v128.load(mask);
  for (const end = x + blocks * BLOCK; x < end; x += BLOCK) {
    let v = v128.load(c0);
    let w = v128.load(c0, 16);
    let f = factor<F>(factors);
    let g = upperFactor<F>(factors, f);
    s0l = add(s0l, x, v128.and(v, fifteens), v128.and(i16x8.shr_u(v, 4), fifteens), f);
    s0h = addUpper(s0h, x, v128.and(w, fifteens), v128.and(i16x8.shr_u(w, 4), fifteens), g);
    v = v128.load(c1);
    w = v128.load(c1, 16);
    f = factor<F>(factors + sizeof<F>());
    g = upperFactor<F>(factors + sizeof<F>(), f);
    s1l = add(s1l, x, v128.and(v, fifteens), v128.and(i16x8.shr_u(v, 4), fifteens), f);
    s1h = addUpper(s1h, x, v128.and(w, fifteens), v128.and(i16x8.shr_u(w, 4), fifteens), g);
    v = v128.load(c2);
    w = v128.load(c2, 16);
    f = factor<F>(factors + 2 * sizeof<F>());
    g = upperFactor<F>(factors + 2 * sizeof<F>(), f);
    s2l = add(s2l, x, v128.and(v, fifteens), v128.and(i16x8.shr_u(v, 4), fifteens), f);
    s2h = addUpper(s2h, x, v128.and(w, fifteens), v128.and(i16x8.shr_u(w, 4), fifteens), g);
    v = v128.load(c3);
    w = v128.load(c3, 16);
    f = factor<F>(factors + 3 * sizeof<F>());
    g = upperFactor<F>(factors + 3 * sizeof<F>(), f);
    s3l = add(s3l, x, v128.and(v, fifteens), v128.and(i16x8.shr_u(v, 4), fifteens), f);
    s3h = addUpper(s3h, x, v128.and(w, fifteens), v128.and(i16x8.shr_u(w, 4), fifteens), g);
    c0 += 32;
    c1 += 32;
    c2 += 32;
    c3 += 32;
    factors += blockFactors<F>();
  }
  const pairs = to + 64;
  v128.store(pairs, s0l);
  v128.store(pairs, s0h, 16);
  v128.store(pairs, s1l, 32);
  v128.store(pairs, s1h, 48);
  v128.store(pairs, s2l, 64);
  v128.store(pairs, s2h, 80);
  v128.store(pairs, s3l, 96);
  v128.store(pairs, s3h, 112);
  finishTile<u8>(x, 0, g0, g1, g2, g3, groups, above, to);
}

/** The factor of the first half of a block, in each 16 bits. */
function factor<F>(at: usize): v128 {
  return sizeof<F>() == 2 ? v128.load16_splat(at) : v128.load32_splat(at);
}

/** The factor of the second half: that of the first one where they share it. */
function upperFactor<F>(at: usize, first: v128): v128 {
  return sizeof<F>() == 2 ? first : v128.load32_splat(at, 16);
}

/** Adds half of 64 products under a factor: sums of 4 of them have 16 bits. */
function add(sum: v128, x: usize, even: v128, odd: v128, factor: v128): v128 {
  const sums = i16x8.add(dot(v128.load(x), even), dot(v128.load(x, 32), odd));
  return i32x4.add(sum, i32x4.dot_i16x8_s(sums, factor));
}

/** The other half. */
function addUpper(sum: v128, x: usize, even: v128, odd: v128, factor: v128): v128 {
  const sums = i16x8.add(dot(v128.load(x, 16), even), dot(v128.load(x, 48), odd));
  return i32x4.add(sum, i32x4.dot_i16x8_s(sums, factor));
}

function dot(x: v128, nibbles: v128): v128 {
  return i16x8.relaxed_dot_i8x16_i7x16_s(x, nibbles);
}

/** Joins the pairs of a column, and subtracts its zeros times the sums of groups. */
function finishColumn<R>(
  sums: usize,
  stride: usize,
  zeros: usize,
  groups: usize,
  above: usize,
  pairs: usize,
): void {
  let s0 = i32x4.add(v128.load(pairs), v128.load(pairs, 16));
  let s1 = i32x4.add(v128.load(pairs, 128), v128.load(pairs, 144));
  let s2 = i32x4.add(v128.load(pairs, 256), v128.load(pairs, 272));
  let s3 = i32x4.add(v128.load(pairs, 384), v128.load(pairs, 400));
  for (let g: usize = 0; zeros && g < groups; g += 8) {
    const z = i16x8.shr_s(v128.load(zeros + 2 * g), 8);
    const low = sums + 2 * g;
    s0 = subtract(s0, low, above, z);
    if (sizeof<R>() > 1) s1 = subtract(s1, low + stride, above, z);
    if (sizeof<R>() > 2) s2 = subtract(s2, low + 2 * stride, above, z);
    if (sizeof<R>() > 2) s3 = subtract(s3, low + 3 * stride, above, z);
  }
  v128.store(pairs, s0);
  v128.store(pairs, s1, 128);
  v128.store(pairs, s2, 256);
  v128.store(pairs, s3, 384);
}

function subtract(s: v128, sums: usize, above: usize, zeros: v128): v128 {
  s = i32x4.sub(s, i32x4.dot_i16x8_s(v128.load(sums), zeros));
  if (!above) return s;
  return i32x4.sub(s, i32x4.shl(i32x4.dot_i16x8_s(v128.load(sums + above), zeros), 15));
}
