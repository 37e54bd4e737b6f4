import { gatherRow } from "./parts/gather";
import { quantizeRow } from "./parts/quantize_row";

@unmanaged
class Args {
  x: usize;
  order: usize;
  codes: usize;
  groups: usize;
  columns: u32;
  group: u32;
  low: f32;
  high: f32;
  clip: f32;
  /** Whether the last group has codes of 8 bits. */
  outliers: u32;
  count: u32;
  /** Rows of a task. */
  task_rows: u32;
}

/** Some rows are a task. */
export function quantizeGroups(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const columns = args.columns;
  const bytes = <usize> args.group * 4;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.count);
  let codes = args.codes + <usize> first * columns;
  let pair = args.groups + <usize> first * (columns / args.group) * 8;
  for (let row: usize = first; row < end; row++) {
    let x = args.x + row * columns * 4;
    if (args.order) {
      gatherRow(x, args.order, columns, scratch);
      x = scratch;
    }
    for (let group: u32 = args.group; group <= columns; group += args.group) {
      const wide = args.outliers && group == columns;
      const low: f32 = wide ? -127 : args.low;
      const high: f32 = wide ? 127 : args.high;
      const sum = quantizeRow(x, bytes, 0, low, high, wide ? 1 : args.clip, codes, pair);
      // A product of integers takes zero points out by the sum of codes.
      store<f32>(pair, <f32> sum, 4);
      x += bytes;
      codes += args.group;
      pair += 8;
    }
  }
}
