import { dotOf } from "./parts/dot";
import { multiplyAdd, sumOf } from "./parts/floats";

@unmanaged
class Args {
  x: usize;
  gain: usize;
  dy: usize;
  sum: usize;
  columns: u32;
  eps: f32;
  rows: u32;
  /** Rows of a task. */
  task_rows: u32;
}

/** Some rows are a task. */
export function rmsNormBackward(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.columns * 4;
  const columns = <f32> args.columns;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.rows);
  for (let row: usize = first; row < end; row++) {
    const x = args.x + row * bytes;
    const dy = args.dy + row * bytes;
    const sum = args.sum + row * bytes;
    const factor: f32 = 1 / sqrt<f32>(dotOf(x, x, bytes) / columns + args.eps);
    const along = factor * factor * (gainedDot(x, dy, args.gain, bytes) / columns);
    const factors = f32x4.splat(factor);
    const alongs = f32x4.splat(along);
    for (let c: usize = 0; c < bytes; c += 16) {
      const own = f32x4.mul(v128.load(dy + c), v128.load(args.gain + c));
      const left = f32x4.sub(own, f32x4.mul(alongs, v128.load(x + c)));
      v128.store(sum + c, f32x4.add(v128.load(sum + c), f32x4.mul(factors, left)));
    }
  }
}

/** The sum of x dy gain. */
function gainedDot(x: usize, dy: usize, gain: usize, bytes: usize): f32 {
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let c: usize = 0;
  for (; c + 32 <= bytes; c += 32) {
    s0 = multiplyAdd(f32x4.mul(v128.load(x + c), v128.load(gain + c)), v128.load(dy + c), s0);
    s1 = multiplyAdd(
      f32x4.mul(v128.load(x + c, 16), v128.load(gain + c, 16)),
      v128.load(dy + c, 16),
      s1,
    );
  }
  for (; c < bytes; c += 16) {
    s0 = multiplyAdd(f32x4.mul(v128.load(x + c), v128.load(gain + c)), v128.load(dy + c), s0);
  }
  return sumOf(f32x4.add(s0, s1));
}
