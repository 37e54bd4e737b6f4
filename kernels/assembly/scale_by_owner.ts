@unmanaged
class Args {
  x: usize;
  owners: usize;
  factors: usize;
  y: usize;
  quads: u32;
  count: u32;
  /** Rows of a task. */
  task_rows: u32;
}

/** Some rows are a task. */
export function scaleByOwner(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.quads * 16;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.count);
  for (let row: usize = first; row < end; row++) {
    const x = args.x + row * bytes;
    const y = args.y + row * bytes;
    const factors = args.factors + <usize> load<u32>(args.owners + row * 4) * bytes;
    for (let c: usize = 0; c < bytes; c += 16) {
      v128.store(y + c, f32x4.mul(v128.load(x + c), v128.load(factors + c)));
    }
  }
}
