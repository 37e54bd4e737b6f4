import { addRow, centerRow, normalizeRow } from "./parts/normalize_row";

@unmanaged
class Args {
  x: usize;
  gain: usize;
  residual: usize;
  bias: usize;
  y: usize;
  columns: u32;
  eps: f32;
  centered: u32;
  rows: u32;
  /** Rows of a task. */
  task_rows: u32;
}

/** Some rows are a task. */
export function rmsNorm(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.columns * 4;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.rows);
  for (let row: usize = first; row < end; row++) {
    let x = args.x + row * bytes;
    if (args.residual) {
      addRow(x, args.residual + row * bytes, bytes);
      x = args.residual + row * bytes;
    }
    const y = args.y + row * bytes;
    if (args.centered) {
      centerRow(x, bytes, y);
      x = y;
    }
    normalizeRow(x, args.gain, bytes, args.eps, y);
    if (args.bias) addRow(args.bias, y, bytes);
  }
}
