@unmanaged
class Args {
  source: usize;
  rows: usize;
  columns: u32;
  source_row: u32;
  row: u32;
  count: u32;
}

/** All of it is one task. */
export function copyRows(at: usize, _task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.columns * 4;
  const source = args.source + <usize> args.source_row * bytes;
  memory.copy(args.rows + <usize> args.row * bytes, source, <usize> args.count * bytes);
}
