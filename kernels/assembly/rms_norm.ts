import { multiplyAdd, sumOf } from "./parts/floats";

@unmanaged
class Args {
  x: usize;
  gain: usize;
  residual: usize;
  y: usize;
  columns: u32;
  eps: f32;
}

/** A row is a task. */
export function rmsNorm(at: usize, row: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.columns * 4;
  const x = args.x + row * bytes;
  const y = args.y + row * bytes;
  const residual = args.residual ? args.residual + row * bytes : 0;
  let squares = f32x4.splat(0);
  for (let c: usize = 0; c < bytes; c += 16) {
    let value = v128.load(x + c);
    if (residual) {
      value = f32x4.add(v128.load(residual + c), value);
      v128.store(residual + c, value);
    }
    squares = multiplyAdd(value, value, squares);
  }
  const mean = sumOf(squares) / <f32> args.columns;
  const factor = f32x4.splat(1 / sqrt<f32>(mean + args.eps));
  const from = residual ? residual : x;
  for (let c: usize = 0; c < bytes; c += 16) {
    const normal = f32x4.mul(v128.load(from + c), factor);
    v128.store(y + c, f32x4.mul(normal, v128.load(args.gain + c)));
  }
}
