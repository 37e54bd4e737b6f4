import { exp4 } from "./exp";

/** gate / (1 + exp(-gate)) * up, of floats that are a multiple of four. */
export function gate(from: usize, up: usize, bytes: usize, y: usize): void {
  const one = f32x4.splat(1);
  for (let at: usize = 0; at < bytes; at += 16) {
    const g = v128.load(from + at);
    const open = f32x4.div(g, f32x4.add(exp4(f32x4.neg(g)), one));
    v128.store(y + at, f32x4.mul(open, v128.load(up + at)));
  }
}
