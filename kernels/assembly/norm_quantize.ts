import { addRow, centerRow, normalizeRow } from "./parts/normalize_row";
import { quantizeRow } from "./parts/quantize_row";

@unmanaged
class Args {
  x: usize;
  gain: usize;
  residual: usize;
  bias: usize;
  codes: usize;
  rows: usize;
  columns: u32;
  eps: f32;
  /** 0 where it is measured. */
  scale: f32;
  low: f32;
  high: f32;
  clip: f32;
  centered: u32;
  count: u32;
  /** Rows of a task. */
  task_rows: u32;
}

/** Some rows are a task; normalized ones lie in the thread's own memory. */
export function normQuantize(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.columns * 4;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.count);
  for (let row: usize = first; row < end; row++) {
    let x = args.x + row * bytes;
    if (args.residual) {
      addRow(x, args.residual + row * bytes, bytes);
      x = args.residual + row * bytes;
    }
    if (args.centered) {
      centerRow(x, bytes, scratch);
      x = scratch;
    }
    normalizeRow(x, args.gain, bytes, args.eps, scratch);
    if (args.bias) addRow(args.bias, scratch, bytes);
    const codes = args.codes + row * args.columns;
    const to = args.rows + row * 8;
    quantizeRow(scratch, bytes, args.scale, args.low, args.high, args.clip, codes, to);
  }
}
