import { sumsOfLanes } from "./packed_rows";

/**
 * A row of 16 bits by four columns of signed bytes, wherever they lie, `count` values each, a multiple of
 * 16; gives their sums, for which it needs 128 bytes.
 */
export function byteLine(
  x: usize,
  c0: usize,
  c1: usize,
  c2: usize,
  c3: usize,
  count: usize,
  pairs: usize,
): v128 {
  let s0l = i32x4.splat(0);
  let s0h = i32x4.splat(0);
  let s1l = i32x4.splat(0);
  let s1h = i32x4.splat(0);
  let s2l = i32x4.splat(0);
  let s2h = i32x4.splat(0);
  let s3l = i32x4.splat(0);
  let s3h = i32x4.splat(0);
  for (const end = c0 + count; c0 < end; c0 += 16) {
    const l = v128.load(x);
    const h = v128.load(x, 16);
    s0l = add(s0l, l, v128.load_ext<i8>(c0));
    s0h = add(s0h, h, v128.load_ext<i8>(c0, 8));
    s1l = add(s1l, l, v128.load_ext<i8>(c1));
    s1h = add(s1h, h, v128.load_ext<i8>(c1, 8));
    s2l = add(s2l, l, v128.load_ext<i8>(c2));
    s2h = add(s2h, h, v128.load_ext<i8>(c2, 8));
    s3l = add(s3l, l, v128.load_ext<i8>(c3));
    s3h = add(s3h, h, v128.load_ext<i8>(c3, 8));
    x += 32;
    c1 += 16;
    c2 += 16;
    c3 += 16;
  }
  // In pairs, so that both halves of each are one register where registers are as wide.
  v128.store(pairs, s0l);
  v128.store(pairs, s0h, 16);
  v128.store(pairs, s1l, 32);
  v128.store(pairs, s1h, 48);
  v128.store(pairs, s2l, 64);
  v128.store(pairs, s2h, 80);
  v128.store(pairs, s3l, 96);
  v128.store(pairs, s3h, 112);
  return sumsOfLanes(joined(pairs), joined(pairs + 32), joined(pairs + 64), joined(pairs + 96));
}

function joined(pair: usize): v128 {
  return i32x4.add(v128.load(pair), v128.load(pair, 16));
}

function add(sum: v128, a: v128, b: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(a, b));
}
