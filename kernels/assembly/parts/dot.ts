import { multiplyAdd, sumOf } from "./floats";

/** The inner product of two runs of floats, a multiple of four: sixteen chains, by index. */
export function dotOf(a: usize, b: usize, bytes: usize): f32 {
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let s2 = f32x4.splat(0);
  let s3 = f32x4.splat(0);
  let at: usize = 0;
  for (; at + 64 <= bytes; at += 64) {
    s0 = multiplyAdd(v128.load(a + at), v128.load(b + at), s0);
    s1 = multiplyAdd(v128.load(a + at, 16), v128.load(b + at, 16), s1);
    s2 = multiplyAdd(v128.load(a + at, 32), v128.load(b + at, 32), s2);
    s3 = multiplyAdd(v128.load(a + at, 48), v128.load(b + at, 48), s3);
  }
  for (; at < bytes; at += 16) s0 = multiplyAdd(v128.load(a + at), v128.load(b + at), s0);
  return sumOf(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
}
