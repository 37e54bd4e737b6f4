import { multiplyAdd, sumsOf } from "./floats";

/** Keys of a block. */
export const BLOCK: i32 = 64;
/** Bytes of a row's scores in a block. */
export const SCORE_BYTES: usize = 256;
/** Bytes of 16 channels of the values of a block. */
export const SLICE_BYTES: usize = 4096;
/** Bytes of a row's state: its fade comes second. */
export const STATE_BYTES: usize = 32;
export const FADE: usize = 4;

/**
 * Scores of rows of queries by keys of a block, two keys at a time: six rows where `R` has two bytes,
 * else three. Each is the sum of four chains, one for each remainder of the channel by four.
 */
export function scoreRows<R>(
  q: usize,
  keys: usize,
  bytes: usize,
  scores: usize,
  from: i32,
  to: i32,
): void {
  const end = q + bytes;
  for (let key = from; key < to; key += 2) {
    let k = keys + key * bytes;
    let l = q;
    let s00 = f32x4.splat(0);
    let s01 = f32x4.splat(0);
    let s10 = f32x4.splat(0);
    let s11 = f32x4.splat(0);
    let s20 = f32x4.splat(0);
    let s21 = f32x4.splat(0);
    let s30 = f32x4.splat(0);
    let s31 = f32x4.splat(0);
    let s40 = f32x4.splat(0);
    let s41 = f32x4.splat(0);
    let s50 = f32x4.splat(0);
    let s51 = f32x4.splat(0);
    for (; l < end; l += 16) {
      const k0 = v128.load(k);
      const k1 = v128.load(k + bytes);
      let left = v128.load(l);
      s00 = multiplyAdd(left, k0, s00);
      s01 = multiplyAdd(left, k1, s01);
      left = v128.load(l + bytes);
      s10 = multiplyAdd(left, k0, s10);
      s11 = multiplyAdd(left, k1, s11);
      left = v128.load(l + 2 * bytes);
      s20 = multiplyAdd(left, k0, s20);
      s21 = multiplyAdd(left, k1, s21);
      if (sizeof<R>() > 1) {
        left = v128.load(l + 3 * bytes);
        s30 = multiplyAdd(left, k0, s30);
        s31 = multiplyAdd(left, k1, s31);
        left = v128.load(l + 4 * bytes);
        s40 = multiplyAdd(left, k0, s40);
        s41 = multiplyAdd(left, k1, s41);
        left = v128.load(l + 5 * bytes);
        s50 = multiplyAdd(left, k0, s50);
        s51 = multiplyAdd(left, k1, s51);
      }
      k += 16;
    }
    const to = scores + <usize> key * 4;
    putPairs(to, sumsOf(s00, s01, s10, s11));
    if (sizeof<R>() > 1) {
      putPairs(to + 2 * SCORE_BYTES, sumsOf(s20, s21, s30, s31));
      putPairs(to + 4 * SCORE_BYTES, sumsOf(s40, s41, s50, s51));
    } else {
      v128.store64_lane(to, sumsOf(s20, s21, s20, s21), 0, 2 * SCORE_BYTES);
    }
  }
}

/** Two scores of a row, and two of the next one. */
function putPairs(to: usize, pairs: v128): void {
  v128.store64_lane(to, pairs, 0);
  v128.store64_lane(to, pairs, 1, SCORE_BYTES);
}

/** The same for one row. */
export function scoreOne(
  q: usize,
  keys: usize,
  bytes: usize,
  scores: usize,
  from: i32,
  to: i32,
): void {
  for (let key = from; key < to; key += 4) {
    const k0 = keys + key * bytes;
    const k1 = k0 + bytes;
    const k2 = k1 + bytes;
    const k3 = k2 + bytes;
    let s0 = f32x4.splat(0);
    let s1 = f32x4.splat(0);
    let s2 = f32x4.splat(0);
    let s3 = f32x4.splat(0);
    for (let c: usize = 0; c < bytes; c += 16) {
      const left = v128.load(q + c);
      s0 = multiplyAdd(left, v128.load(k0 + c), s0);
      s1 = multiplyAdd(left, v128.load(k1 + c), s1);
      s2 = multiplyAdd(left, v128.load(k2 + c), s2);
      s3 = multiplyAdd(left, v128.load(k3 + c), s3);
    }
    v128.store(scores + <usize> key * 4, sumsOf(s0, s1, s2, s3));
  }
}

/**
 * Adds values of a block, times the weights of rows as `scoreRows` has them, to sums that are first
 * brought under the rows' new maxima; key after key. 16 channels of all keys lie together.
 */
export function addRows<R>(
  weights: usize,
  values: usize,
  sums: usize,
  bytes: usize,
  states: usize,
  from: i32,
  to: i32,
): void {
  const end = weights + <usize> to * 4;
  for (let c: usize = 0; c < bytes; c += 32) {
    const y = sums + c;
    let fade = v128.load32_splat(states, FADE);
    let s00 = f32x4.mul(v128.load(y), fade);
    let s01 = f32x4.mul(v128.load(y, 16), fade);
    fade = v128.load32_splat(states, 1 * STATE_BYTES + FADE);
    let s10 = f32x4.mul(v128.load(y + bytes), fade);
    let s11 = f32x4.mul(v128.load(y + bytes, 16), fade);
    fade = v128.load32_splat(states, 2 * STATE_BYTES + FADE);
    let s20 = f32x4.mul(v128.load(y + 2 * bytes), fade);
    let s21 = f32x4.mul(v128.load(y + 2 * bytes, 16), fade);
    let s30 = s00;
    let s31 = s00;
    let s40 = s00;
    let s41 = s00;
    let s50 = s00;
    let s51 = s00;
    if (sizeof<R>() > 1) {
      fade = v128.load32_splat(states, 3 * STATE_BYTES + FADE);
      s30 = f32x4.mul(v128.load(y + 3 * bytes), fade);
      s31 = f32x4.mul(v128.load(y + 3 * bytes, 16), fade);
      fade = v128.load32_splat(states, 4 * STATE_BYTES + FADE);
      s40 = f32x4.mul(v128.load(y + 4 * bytes), fade);
      s41 = f32x4.mul(v128.load(y + 4 * bytes, 16), fade);
      fade = v128.load32_splat(states, 5 * STATE_BYTES + FADE);
      s50 = f32x4.mul(v128.load(y + 5 * bytes), fade);
      s51 = f32x4.mul(v128.load(y + 5 * bytes, 16), fade);
    }
    // 16 channels of a key are two turns.
    let v = values + (c & ~63) * BLOCK + (c & 32) + <usize> from * 64;
    for (let w = weights + <usize> from * 4; w < end; w += 4) {
      const v0 = v128.load(v);
      const v1 = v128.load(v, 16);
      let weight = v128.load32_splat(w);
      s00 = multiplyAdd(weight, v0, s00);
      s01 = multiplyAdd(weight, v1, s01);
      weight = v128.load32_splat(w + SCORE_BYTES);
      s10 = multiplyAdd(weight, v0, s10);
      s11 = multiplyAdd(weight, v1, s11);
      weight = v128.load32_splat(w + 2 * SCORE_BYTES);
      s20 = multiplyAdd(weight, v0, s20);
      s21 = multiplyAdd(weight, v1, s21);
      if (sizeof<R>() > 1) {
        weight = v128.load32_splat(w + 3 * SCORE_BYTES);
        s30 = multiplyAdd(weight, v0, s30);
        s31 = multiplyAdd(weight, v1, s31);
        weight = v128.load32_splat(w + 4 * SCORE_BYTES);
        s40 = multiplyAdd(weight, v0, s40);
        s41 = multiplyAdd(weight, v1, s41);
        weight = v128.load32_splat(w + 5 * SCORE_BYTES);
        s50 = multiplyAdd(weight, v0, s50);
        s51 = multiplyAdd(weight, v1, s51);
      }
      v += 64;
    }
    v128.store(y, s00);
    v128.store(y, s01, 16);
    v128.store(y + bytes, s10);
    v128.store(y + bytes, s11, 16);
    v128.store(y + 2 * bytes, s20);
    v128.store(y + 2 * bytes, s21, 16);
    if (sizeof<R>() > 1) {
      v128.store(y + 3 * bytes, s30);
      v128.store(y + 3 * bytes, s31, 16);
      v128.store(y + 4 * bytes, s40);
      v128.store(y + 4 * bytes, s41, 16);
      v128.store(y + 5 * bytes, s50);
      v128.store(y + 5 * bytes, s51, 16);
    }
  }
}

/** The same for one row. */
export function addOne(
  weights: usize,
  values: usize,
  sums: usize,
  bytes: usize,
  state: usize,
  from: i32,
  to: i32,
): void {
  const fade = v128.load32_splat(state, FADE);
  const end = weights + <usize> to * 4;
  for (let y = sums; y < sums + bytes; y += 64) {
    let s0 = f32x4.mul(v128.load(y), fade);
    let s1 = f32x4.mul(v128.load(y, 16), fade);
    let s2 = f32x4.mul(v128.load(y, 32), fade);
    let s3 = f32x4.mul(v128.load(y, 48), fade);
    let v = values + <usize> from * 64;
    for (let w = weights + <usize> from * 4; w < end; w += 4) {
      const weight = v128.load32_splat(w);
      s0 = multiplyAdd(weight, v128.load(v), s0);
      s1 = multiplyAdd(weight, v128.load(v, 16), s1);
      s2 = multiplyAdd(weight, v128.load(v, 32), s2);
      s3 = multiplyAdd(weight, v128.load(v, 48), s3);
      v += 64;
    }
    putFour(y, s0, s1, s2, s3);
    values += SLICE_BYTES;
  }
}

function putFour(y: usize, s0: v128, s1: v128, s2: v128, s3: v128): void {
  v128.store(y, s0);
  v128.store(y, s1, 16);
  v128.store(y, s2, 32);
  v128.store(y, s3, 48);
}
