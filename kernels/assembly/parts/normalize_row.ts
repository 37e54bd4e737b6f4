import { dotOf } from "./dot";

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
