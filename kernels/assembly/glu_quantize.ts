import { EXP_TABLE_BYTES, expTable } from "./parts/exp";
import { quantizeRow } from "./parts/quantize_row";
import { gate } from "./parts/gate";

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
  /** Whether gates go through GELU instead of SiLU. */
  gelu: u32;
}

/** Some rows are a task; gated ones lie in the thread's own memory. */
export function gluQuantize(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.columns * 4;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.count);
  const gated = scratch + EXP_TABLE_BYTES;
  expTable(scratch);
  for (let row: usize = first; row < end; row++) {
    const x = args.x + row * bytes * 2;
    gate(x, x + bytes, bytes, scratch, gated, args.gelu);
    const codes = args.codes + row * args.columns;
    quantizeRow(
      gated,
      bytes,
      args.scale,
      args.low,
      args.high,
      args.clip,
      codes,
      args.rows + row * 8,
    );
  }
}
