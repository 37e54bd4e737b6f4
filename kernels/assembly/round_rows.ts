import { roundedToHalf } from "./parts/halves";
import { largestOf } from "./parts/row";

@unmanaged
class Args {
  x: usize;
  y: usize;
  rows: u32;
  columns: u32;
  low: f32;
  high: f32;
  divisor: f32;
  zero: u32;
  /** Rows of a task. */
  task_rows: u32;
}

/** Some rows are a task. */
export function roundRows(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.columns * 4;
  const lows = f32x4.splat(args.low);
  const highs = f32x4.splat(args.high);
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.rows);
  for (let row: usize = first; row < end; row++) {
    const x = args.x + row * bytes;
    const y = args.y + row * bytes;
    // 0 is among the values where it changes nothing.
    let least = f32x4.splat(0);
    let most = f32x4.splat(0);
    for (let c: usize = 0; c < bytes; c += 16) {
      const values = v128.load(x + c);
      least = f32x4.pmin(least, values);
      most = f32x4.pmax(most, values);
    }
    const below = largestOf(f32x4.neg(least));
    const above = largestOf(most);
    let scale = roundedToHalf((args.zero ? above + below : max(below, above)) / args.divisor);
    if (scale == 0) scale = 1;
    const zero: f32 = args.zero ? min(nearest(below / scale), args.high) : 0;
    const scales = f32x4.splat(scale);
    const zeros = f32x4.splat(zero);
    for (let c: usize = 0; c < bytes; c += 16) {
      const real = f32x4.add(f32x4.div(v128.load(x + c), scales), zeros);
      const codes = f32x4.pmax(f32x4.pmin(f32x4.nearest(real), highs), lows);
      // No negative zero, as shaders have none.
      const steps = f32x4.add(f32x4.sub(codes, zeros), f32x4.splat(0));
      v128.store(y + c, f32x4.mul(steps, scales));
    }
  }
}
