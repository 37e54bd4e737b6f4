import { gatherRow } from "./parts/gather";

@unmanaged
class Args {
  x: usize;
  order: usize;
  y: usize;
  columns: u32;
  count: u32;
  /** Rows of a task. */
  task_rows: u32;
}

/** Some rows are a task. */
export function gatherColumns(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.columns * 4;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.count);
  for (let row: usize = first; row < end; row++) {
    gatherRow(args.x + row * bytes, args.order, args.columns, args.y + row * bytes);
  }
}
