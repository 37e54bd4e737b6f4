import { joined, multiplyAdd, sumsOf } from "./floats";

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
 * else three. Each is the sum of eight chains, one for each remainder of the channel by eight, which
 * lie in `chains` on the way.
 */
export function scoreRows<R>(
  q: usize,
  keys: usize,
  bytes: usize,
  scores: usize,
  from: i32,
  to: i32,
  chains: usize,
): void {
  const end = q + bytes;
  for (let key = from; key < to; key += 2) {
    let k = keys + key * bytes;
    let x = q;
    let s00l = f32x4.splat(0);
    let s00h = f32x4.splat(0);
    let s01l = f32x4.splat(0);
    let s01h = f32x4.splat(0);
    let s10l = f32x4.splat(0);
    let s10h = f32x4.splat(0);
    let s11l = f32x4.splat(0);
    let s11h = f32x4.splat(0);
    let s20l = f32x4.splat(0);
    let s20h = f32x4.splat(0);
    let s21l = f32x4.splat(0);
    let s21h = f32x4.splat(0);
    let s30l = f32x4.splat(0);
    let s30h = f32x4.splat(0);
    let s31l = f32x4.splat(0);
    let s31h = f32x4.splat(0);
    let s40l = f32x4.splat(0);
    let s40h = f32x4.splat(0);
    let s41l = f32x4.splat(0);
    let s41h = f32x4.splat(0);
    let s50l = f32x4.splat(0);
    let s50h = f32x4.splat(0);
    let s51l = f32x4.splat(0);
    let s51h = f32x4.splat(0);
    for (; x < end; x += 32) {
      const l0 = v128.load(k);
      const h0 = v128.load(k, 16);
      const l1 = v128.load(k + bytes);
      const h1 = v128.load(k + bytes, 16);
      let l = v128.load(x);
      let h = v128.load(x, 16);
      s00l = multiplyAdd(l, l0, s00l);
      s00h = multiplyAdd(h, h0, s00h);
      s01l = multiplyAdd(l, l1, s01l);
      s01h = multiplyAdd(h, h1, s01h);
      l = v128.load(x + bytes);
      h = v128.load(x + bytes, 16);
      s10l = multiplyAdd(l, l0, s10l);
      s10h = multiplyAdd(h, h0, s10h);
      s11l = multiplyAdd(l, l1, s11l);
      s11h = multiplyAdd(h, h1, s11h);
      l = v128.load(x + 2 * bytes);
      h = v128.load(x + 2 * bytes, 16);
      s20l = multiplyAdd(l, l0, s20l);
      s20h = multiplyAdd(h, h0, s20h);
      s21l = multiplyAdd(l, l1, s21l);
      s21h = multiplyAdd(h, h1, s21h);
      if (sizeof<R>() > 1) {
        l = v128.load(x + 3 * bytes);
        h = v128.load(x + 3 * bytes, 16);
        s30l = multiplyAdd(l, l0, s30l);
        s30h = multiplyAdd(h, h0, s30h);
        s31l = multiplyAdd(l, l1, s31l);
        s31h = multiplyAdd(h, h1, s31h);
        l = v128.load(x + 4 * bytes);
        h = v128.load(x + 4 * bytes, 16);
        s40l = multiplyAdd(l, l0, s40l);
        s40h = multiplyAdd(h, h0, s40h);
        s41l = multiplyAdd(l, l1, s41l);
        s41h = multiplyAdd(h, h1, s41h);
        l = v128.load(x + 5 * bytes);
        h = v128.load(x + 5 * bytes, 16);
        s50l = multiplyAdd(l, l0, s50l);
        s50h = multiplyAdd(h, h0, s50h);
        s51l = multiplyAdd(l, l1, s51l);
        s51h = multiplyAdd(h, h1, s51h);
      }
      k += 32;
    }
    v128.store(chains, s00l);
    v128.store(chains, s00h, 16);
    v128.store(chains, s01l, 32);
    v128.store(chains, s01h, 48);
    v128.store(chains, s10l, 64);
    v128.store(chains, s10h, 80);
    v128.store(chains, s11l, 96);
    v128.store(chains, s11h, 112);
    v128.store(chains, s20l, 128);
    v128.store(chains, s20h, 144);
    v128.store(chains, s21l, 160);
    v128.store(chains, s21h, 176);
    if (sizeof<R>() > 1) {
      v128.store(chains, s30l, 192);
      v128.store(chains, s30h, 208);
      v128.store(chains, s31l, 224);
      v128.store(chains, s31h, 240);
      v128.store(chains, s40l, 256);
      v128.store(chains, s40h, 272);
      v128.store(chains, s41l, 288);
      v128.store(chains, s41h, 304);
      v128.store(chains, s50l, 320);
      v128.store(chains, s50h, 336);
      v128.store(chains, s51l, 352);
      v128.store(chains, s51h, 368);
    }
    let to = scores + <usize> key * 4;
    putPairs(to, chains);
    if (sizeof<R>() > 1) {
      putPairs(to + 2 * SCORE_BYTES, chains + 128);
      putPairs(to + 4 * SCORE_BYTES, chains + 256);
    } else {
      const v0 = joined(chains + 128);
      const v1 = joined(chains + 160);
      v128.store64_lane(to, sumsOf(v0, v1, v0, v1), 0, 2 * SCORE_BYTES);
    }
  }
}

/** Two scores of a row, and two of the next one. */
function putPairs(to: usize, chains: usize): void {
  const pairs = sumsOf(
    joined(chains),
    joined(chains + 32),
    joined(chains + 64),
    joined(chains + 96),
  );
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
  chains: usize,
): void {
  for (let key = from; key < to; key += 4) {
    const k0 = keys + key * bytes;
    const k1 = k0 + bytes;
    const k2 = k1 + bytes;
    const k3 = k2 + bytes;
    let s0l = f32x4.splat(0);
    let s0h = f32x4.splat(0);
    let s1l = f32x4.splat(0);
    let s1h = f32x4.splat(0);
    let s2l = f32x4.splat(0);
    let s2h = f32x4.splat(0);
    let s3l = f32x4.splat(0);
    let s3h = f32x4.splat(0);
    for (let c: usize = 0; c < bytes; c += 32) {
      const l = v128.load(q + c);
      const h = v128.load(q + c, 16);
      s0l = multiplyAdd(l, v128.load(k0 + c), s0l);
      s0h = multiplyAdd(h, v128.load(k0 + c, 16), s0h);
      s1l = multiplyAdd(l, v128.load(k1 + c), s1l);
      s1h = multiplyAdd(h, v128.load(k1 + c, 16), s1h);
      s2l = multiplyAdd(l, v128.load(k2 + c), s2l);
      s2h = multiplyAdd(h, v128.load(k2 + c, 16), s2h);
      s3l = multiplyAdd(l, v128.load(k3 + c), s3l);
      s3h = multiplyAdd(h, v128.load(k3 + c, 16), s3h);
    }
    v128.store(chains, s0l);
    v128.store(chains, s0h, 16);
    v128.store(chains, s1l, 32);
    v128.store(chains, s1h, 48);
    v128.store(chains, s2l, 64);
    v128.store(chains, s2h, 80);
    v128.store(chains, s3l, 96);
    v128.store(chains, s3h, 112);
    const made = sumsOf(
      joined(chains),
      joined(chains + 32),
      joined(chains + 64),
      joined(chains + 96),
    );
    v128.store(scores + <usize> key * 4, made);
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
  for (let y = sums; y < sums + bytes; y += 64) {
    let fade = v128.load32_splat(states, FADE);
    let s00 = f32x4.mul(v128.load(y), fade);
    let s01 = f32x4.mul(v128.load(y, 16), fade);
    let s02 = f32x4.mul(v128.load(y, 32), fade);
    let s03 = f32x4.mul(v128.load(y, 48), fade);
    fade = v128.load32_splat(states, 1 * STATE_BYTES + FADE);
    let s10 = f32x4.mul(v128.load(y + bytes), fade);
    let s11 = f32x4.mul(v128.load(y + bytes, 16), fade);
    let s12 = f32x4.mul(v128.load(y + bytes, 32), fade);
    let s13 = f32x4.mul(v128.load(y + bytes, 48), fade);
    fade = v128.load32_splat(states, 2 * STATE_BYTES + FADE);
    let s20 = f32x4.mul(v128.load(y + 2 * bytes), fade);
    let s21 = f32x4.mul(v128.load(y + 2 * bytes, 16), fade);
    let s22 = f32x4.mul(v128.load(y + 2 * bytes, 32), fade);
    let s23 = f32x4.mul(v128.load(y + 2 * bytes, 48), fade);
    let s30 = s00;
    let s31 = s01;
    let s32 = s02;
    let s33 = s03;
    let s40 = s00;
    let s41 = s01;
    let s42 = s02;
    let s43 = s03;
    let s50 = s00;
    let s51 = s01;
    let s52 = s02;
    let s53 = s03;
    if (sizeof<R>() > 1) {
      fade = v128.load32_splat(states, 3 * STATE_BYTES + FADE);
      s30 = f32x4.mul(v128.load(y + 3 * bytes), fade);
      s31 = f32x4.mul(v128.load(y + 3 * bytes, 16), fade);
      s32 = f32x4.mul(v128.load(y + 3 * bytes, 32), fade);
      s33 = f32x4.mul(v128.load(y + 3 * bytes, 48), fade);
      fade = v128.load32_splat(states, 4 * STATE_BYTES + FADE);
      s40 = f32x4.mul(v128.load(y + 4 * bytes), fade);
      s41 = f32x4.mul(v128.load(y + 4 * bytes, 16), fade);
      s42 = f32x4.mul(v128.load(y + 4 * bytes, 32), fade);
      s43 = f32x4.mul(v128.load(y + 4 * bytes, 48), fade);
      fade = v128.load32_splat(states, 5 * STATE_BYTES + FADE);
      s50 = f32x4.mul(v128.load(y + 5 * bytes), fade);
      s51 = f32x4.mul(v128.load(y + 5 * bytes, 16), fade);
      s52 = f32x4.mul(v128.load(y + 5 * bytes, 32), fade);
      s53 = f32x4.mul(v128.load(y + 5 * bytes, 48), fade);
    }
    let v = values + <usize> from * 64;
    for (let w = weights + <usize> from * 4; w < end; w += 4) {
      const v0 = v128.load(v);
      const v1 = v128.load(v, 16);
      const v2 = v128.load(v, 32);
      const v3 = v128.load(v, 48);
      let weight = v128.load32_splat(w);
      s00 = multiplyAdd(weight, v0, s00);
      s01 = multiplyAdd(weight, v1, s01);
      s02 = multiplyAdd(weight, v2, s02);
      s03 = multiplyAdd(weight, v3, s03);
      weight = v128.load32_splat(w + SCORE_BYTES);
      s10 = multiplyAdd(weight, v0, s10);
      s11 = multiplyAdd(weight, v1, s11);
      s12 = multiplyAdd(weight, v2, s12);
      s13 = multiplyAdd(weight, v3, s13);
      weight = v128.load32_splat(w + 2 * SCORE_BYTES);
      s20 = multiplyAdd(weight, v0, s20);
      s21 = multiplyAdd(weight, v1, s21);
      s22 = multiplyAdd(weight, v2, s22);
      s23 = multiplyAdd(weight, v3, s23);
      if (sizeof<R>() > 1) {
        weight = v128.load32_splat(w + 3 * SCORE_BYTES);
        s30 = multiplyAdd(weight, v0, s30);
        s31 = multiplyAdd(weight, v1, s31);
        s32 = multiplyAdd(weight, v2, s32);
        s33 = multiplyAdd(weight, v3, s33);
        weight = v128.load32_splat(w + 4 * SCORE_BYTES);
        s40 = multiplyAdd(weight, v0, s40);
        s41 = multiplyAdd(weight, v1, s41);
        s42 = multiplyAdd(weight, v2, s42);
        s43 = multiplyAdd(weight, v3, s43);
        weight = v128.load32_splat(w + 5 * SCORE_BYTES);
        s50 = multiplyAdd(weight, v0, s50);
        s51 = multiplyAdd(weight, v1, s51);
        s52 = multiplyAdd(weight, v2, s52);
        s53 = multiplyAdd(weight, v3, s53);
      }
      v += 64;
    }
    v128.store(y, s00);
    v128.store(y, s01, 16);
    v128.store(y, s02, 32);
    v128.store(y, s03, 48);
    v128.store(y + bytes, s10);
    v128.store(y + bytes, s11, 16);
    v128.store(y + bytes, s12, 32);
    v128.store(y + bytes, s13, 48);
    v128.store(y + 2 * bytes, s20);
    v128.store(y + 2 * bytes, s21, 16);
    v128.store(y + 2 * bytes, s22, 32);
    v128.store(y + 2 * bytes, s23, 48);
    if (sizeof<R>() > 1) {
      v128.store(y + 3 * bytes, s30);
      v128.store(y + 3 * bytes, s31, 16);
      v128.store(y + 3 * bytes, s32, 32);
      v128.store(y + 3 * bytes, s33, 48);
      v128.store(y + 4 * bytes, s40);
      v128.store(y + 4 * bytes, s41, 16);
      v128.store(y + 4 * bytes, s42, 32);
      v128.store(y + 4 * bytes, s43, 48);
      v128.store(y + 5 * bytes, s50);
      v128.store(y + 5 * bytes, s51, 16);
      v128.store(y + 5 * bytes, s52, 32);
      v128.store(y + 5 * bytes, s53, 48);
    }
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
