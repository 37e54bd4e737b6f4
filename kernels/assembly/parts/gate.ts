import { EXP_ONE, expFallingBy4 } from "./exp";

/** 2 sqrt(2 / pi), and the same times 0.044715. */
const GELU_LINEAR: f32 = 1.5957691216;
const GELU_CUBIC: f32 = 0.0713548163;

/**
 * gate / (1 + exp(-power)) * up, of floats that are a multiple of four; `table` is of `expFallingBy4`.
 * The power is the gate in SiLU, and a cubic of its sign in GELU by tanh (Hendrycks and Gimpel 2016).
 * No exponential is of a positive number: below 0, both sides are taken times exp(power).
 */
export function gate(
  from: usize,
  up: usize,
  bytes: usize,
  table: usize,
  y: usize,
  gelu: u32,
): void {
  const one = v128.load(table, EXP_ONE);
  const zero = f32x4.splat(0);
  for (let at: usize = 0; at < bytes; at += 16) {
    const g = v128.load(from + at);
    const power = gelu ? cubic(g) : g;
    const fall = expFallingBy4(table, f32x4.pmin(power, f32x4.neg(power)));
    const top = v128.bitselect(f32x4.mul(g, fall), g, f32x4.lt(g, zero));
    const open = f32x4.div(top, f32x4.add(fall, one));
    v128.store(y + at, f32x4.mul(open, v128.load(up + at)));
  }
}

function cubic(g: v128): v128 {
  const square = f32x4.mul(g, g);
  const factor = f32x4.add(
    f32x4.mul(square, f32x4.splat(GELU_CUBIC)),
    f32x4.splat(GELU_LINEAR),
  );
  return f32x4.mul(g, factor);
}
