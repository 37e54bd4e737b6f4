import { transposeFour } from "./parts/transpose";

@unmanaged
class Args {
  x: usize;
  y: usize;
  rows: u32;
  columns: u32;
  width: u32;
  /** Fours of columns of a task. */
  task_quads: u32;
}

/** Some columns are a task, four at a time. */
export function transpose(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.columns * 4;
  const next = <usize> args.width * 4;
  const whole = args.rows & ~3;
  const first = task * args.task_quads;
  const end = min(first + args.task_quads, args.columns / 4);
  for (let quad: usize = first; quad < end; quad++) {
    const x = args.x + quad * 16;
    const y = args.y + quad * 4 * next;
    for (let row: usize = 0; row < whole; row += 4) {
      const from = x + row * bytes;
      const third = from + 2 * bytes;
      transposeFour(from, from + bytes, third, third + bytes, y + row * 4, next);
    }
    for (let column: usize = 0; column < 4; column++) {
      const to = y + column * next;
      for (let row: usize = whole; row < args.rows; row++) {
        store<f32>(to + row * 4, load<f32>(x + row * bytes + column * 4));
      }
      for (let row: usize = args.rows; row < args.width; row++) store<f32>(to + row * 4, 0);
    }
  }
}
