import { expFalling4 } from "./exp";
import { multiplyAdd } from "./floats";

/** Below, a polynomial of the square is nearer. */
const SMALL: f32 = 0.625;
const P0: f32 = -5.70498872745e-3;
const P1: f32 = 2.06390887954e-2;
const P2: f32 = -5.37397155531e-2;
const P3: f32 = 1.33314422036e-1;
const P4: f32 = -3.33332819422e-1;

/** tanh of four floats (S. Moshier, Cephes, tanhf.c). */
function tanh4(x: v128): v128 {
  const size = f32x4.abs(x);
  const square = f32x4.mul(size, size);
  let p = multiplyAdd(f32x4.splat(P0), square, f32x4.splat(P1));
  p = multiplyAdd(p, square, f32x4.splat(P2));
  p = multiplyAdd(p, square, f32x4.splat(P3));
  p = multiplyAdd(p, square, f32x4.splat(P4));
  const small = multiplyAdd(f32x4.mul(p, square), size, size);
  const fall = expFalling4(f32x4.mul(size, f32x4.splat(-2)));
  const one = f32x4.splat(1);
  const large = f32x4.div(f32x4.sub(one, fall), f32x4.add(one, fall));
  const value = v128.bitselect(small, large, f32x4.lt(size, f32x4.splat(SMALL)));
  // The sign of x.
  return v128.bitselect(x, value, i32x4.splat(0x80000000));
}

/** cap * tanh(x / cap) of four floats. */
export function softCap4(x: v128, cap: f32): v128 {
  const size = f32x4.splat(cap);
  return f32x4.mul(size, tanh4(f32x4.div(x, size)));
}
