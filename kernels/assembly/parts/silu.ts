import { EXP_ONE, expFallingBy4 } from "./exp";

/**
 * gate / (1 + exp(-gate)) * up, of floats that are a multiple of four; `table` is of `expFallingBy4`.
 * No exponential is of a positive number: below 0, both sides are taken times exp(gate).
 */
export function gate(from: usize, up: usize, bytes: usize, table: usize, y: usize): void {
  const one = v128.load(table, EXP_ONE);
  const zero = f32x4.splat(0);
  for (let at: usize = 0; at < bytes; at += 16) {
    const g = v128.load(from + at);
    const power = expFallingBy4(table, f32x4.pmin(g, f32x4.neg(g)));
    const top = v128.bitselect(f32x4.mul(g, power), g, f32x4.lt(g, zero));
    const open = f32x4.div(top, f32x4.add(power, one));
    v128.store(y + at, f32x4.mul(open, v128.load(up + at)));
  }
}
