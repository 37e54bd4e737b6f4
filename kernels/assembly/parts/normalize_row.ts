import { dotOf } from "./dot";
import { sumOf } from "./floats";

/** Adds a row to another. */
export function addRow(x: usize, to: usize, bytes: usize): void {
  for (let c: usize = 0; c < bytes; c += 16) {
    v128.store(to + c, f32x4.add(v128.load(to + c), v128.load(x + c)));
  }
}

/** y = x / sqrt(mean(x * x) + eps) * gain, of one row; y may be x. */
export function normalizeRow(x: usize, gain: usize, bytes: usize, eps: f32, y: usize): void {
  const mean = dotOf(x, x, bytes) / <f32> (bytes / 4);
  const factor = f32x4.splat(1 / sqrt<f32>(mean + eps));
  for (let c: usize = 0; c < bytes; c += 16) {
    const normal = f32x4.mul(v128.load(x + c), factor);
    v128.store(y + c, f32x4.mul(normal, v128.load(gain + c)));
  }
}

/** y = x - mean(x), of one row; y may be x. */
export function centerRow(x: usize, bytes: usize, y: usize): void {
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let at: usize = 0;
  for (; at + 32 <= bytes; at += 32) {
    s0 = f32x4.add(s0, v128.load(x + at));
    s1 = f32x4.add(s1, v128.load(x + at, 16));
  }
  for (; at < bytes; at += 16) s0 = f32x4.add(s0, v128.load(x + at));
  const mean = f32x4.splat(sumOf(f32x4.add(s0, s1)) / <f32> (bytes / 4));
  for (let c: usize = 0; c < bytes; c += 16) {
    v128.store(y + c, f32x4.sub(v128.load(x + c), mean));
  }
}
