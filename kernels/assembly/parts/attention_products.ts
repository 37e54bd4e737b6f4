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
 * Scores of three rows of queries by keys of a block, four keys at a time. Each is the sum of four
 * chains, one for each remainder of the channel by four.
 */
export function scoreThree(
  q: usize,
  keys: usize,
  bytes: usize,
  scores: usize,
  from: i32,
  to: i32,
): void {
  const q1 = q + bytes;
  const q2 = q1 + bytes;
  for (let key = from; key < to; key += 4) {
    let k0 = keys + key * bytes;
    let k1 = k0 + bytes;
    let k2 = k1 + bytes;
    let k3 = k2 + bytes;
    let s00 = f32x4.splat(0);
    let s01 = f32x4.splat(0);
    let s02 = f32x4.splat(0);
    let s03 = f32x4.splat(0);
    let s10 = f32x4.splat(0);
    let s11 = f32x4.splat(0);
    let s12 = f32x4.splat(0);
    let s13 = f32x4.splat(0);
    let s20 = f32x4.splat(0);
    let s21 = f32x4.splat(0);
    let s22 = f32x4.splat(0);
    let s23 = f32x4.splat(0);
    for (let c: usize = 0; c < bytes; c += 16) {
      const l0 = v128.load(q + c);
      const l1 = v128.load(q1 + c);
      const l2 = v128.load(q2 + c);
      let right = v128.load(k0 + c);
      s00 = multiplyAdd(l0, right, s00);
      s10 = multiplyAdd(l1, right, s10);
      s20 = multiplyAdd(l2, right, s20);
      right = v128.load(k1 + c);
      s01 = multiplyAdd(l0, right, s01);
      s11 = multiplyAdd(l1, right, s11);
      s21 = multiplyAdd(l2, right, s21);
      right = v128.load(k2 + c);
      s02 = multiplyAdd(l0, right, s02);
      s12 = multiplyAdd(l1, right, s12);
      s22 = multiplyAdd(l2, right, s22);
      right = v128.load(k3 + c);
      s03 = multiplyAdd(l0, right, s03);
      s13 = multiplyAdd(l1, right, s13);
      s23 = multiplyAdd(l2, right, s23);
    }
    const to = scores + <usize> key * 4;
    v128.store(to, sumsOf(s00, s01, s02, s03));
    v128.store(to, sumsOf(s10, s11, s12, s13), SCORE_BYTES);
    v128.store(to, sumsOf(s20, s21, s22, s23), 2 * SCORE_BYTES);
  }
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
 * Adds values of a block, times the weights of three rows, to sums that are first brought under the
 * rows' new maxima; key after key. 16 channels of all keys lie together.
 */
export function addThree(
  weights: usize,
  values: usize,
  sums: usize,
  bytes: usize,
  states: usize,
  from: i32,
  to: i32,
): void {
  const fade0 = v128.load32_splat(states, FADE);
  const fade1 = v128.load32_splat(states + STATE_BYTES, FADE);
  const fade2 = v128.load32_splat(states + 2 * STATE_BYTES, FADE);
  const end = weights + <usize> to * 4;
  for (let c: usize = 0; c < bytes; c += 64) {
    const y0 = sums + c;
    const y1 = y0 + bytes;
    const y2 = y1 + bytes;
    let s00 = f32x4.mul(v128.load(y0), fade0);
    let s01 = f32x4.mul(v128.load(y0, 16), fade0);
    let s02 = f32x4.mul(v128.load(y0, 32), fade0);
    let s03 = f32x4.mul(v128.load(y0, 48), fade0);
    let s10 = f32x4.mul(v128.load(y1), fade1);
    let s11 = f32x4.mul(v128.load(y1, 16), fade1);
    let s12 = f32x4.mul(v128.load(y1, 32), fade1);
    let s13 = f32x4.mul(v128.load(y1, 48), fade1);
    let s20 = f32x4.mul(v128.load(y2), fade2);
    let s21 = f32x4.mul(v128.load(y2, 16), fade2);
    let s22 = f32x4.mul(v128.load(y2, 32), fade2);
    let s23 = f32x4.mul(v128.load(y2, 48), fade2);
    let v = values + <usize> from * 64;
    for (let w = weights + <usize> from * 4; w < end; w += 4) {
      const w0 = v128.load32_splat(w);
      const w1 = v128.load32_splat(w, SCORE_BYTES);
      const w2 = v128.load32_splat(w, 2 * SCORE_BYTES);
      let right = v128.load(v);
      s00 = multiplyAdd(w0, right, s00);
      s10 = multiplyAdd(w1, right, s10);
      s20 = multiplyAdd(w2, right, s20);
      right = v128.load(v, 16);
      s01 = multiplyAdd(w0, right, s01);
      s11 = multiplyAdd(w1, right, s11);
      s21 = multiplyAdd(w2, right, s21);
      right = v128.load(v, 32);
      s02 = multiplyAdd(w0, right, s02);
      s12 = multiplyAdd(w1, right, s12);
      s22 = multiplyAdd(w2, right, s22);
      right = v128.load(v, 48);
      s03 = multiplyAdd(w0, right, s03);
      s13 = multiplyAdd(w1, right, s13);
      s23 = multiplyAdd(w2, right, s23);
      v += 64;
    }
    putFour(y0, s00, s01, s02, s03);
    putFour(y1, s10, s11, s12, s13);
    putFour(y2, s20, s21, s22, s23);
    values += SLICE_BYTES;
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
