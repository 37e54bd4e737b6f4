import { quantizeRow } from "./parts/quantize_row";

@unmanaged
class Args {
  x: usize;
  codes: usize;
  rows: usize;
  columns: u32;
  /** 0 where it is measured. */
  scale: f32;
  low: f32;
  high: f32;
  clip: f32;
  count: u32;
  /** Rows of a task. */
  task_rows: u32;
}

/** Some rows are a task. */
export function quantizeRows(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.columns * 4;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.count);
  for (let row: usize = first; row < end; row++) {
    const codes = args.codes + row * args.columns;
    const x = args.x + row * bytes;
    quantizeRow(x, bytes, args.scale, args.low, args.high, args.clip, codes, args.rows + row * 8);
  }
}
