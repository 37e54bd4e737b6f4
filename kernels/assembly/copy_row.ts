@unmanaged
class Args {
  source: usize;
  rows: usize;
  columns: u32;
  row: u32;
}

/** All of it is one task. */
export function copyRow(at: usize, _task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.columns * 4;
  memory.copy(args.rows + <usize> args.row * bytes, args.source, bytes);
}
