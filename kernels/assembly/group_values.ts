@unmanaged
class Args {
  codes: usize;
  groups: usize;
  x: usize;
  words: u32;
  group: u32;
  count: u32;
  /** Rows of a task. */
  task_rows: u32;
}

/** Some rows are a task. */
export function groupValues(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const columns = <usize> args.words * 4;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.count);
  let pair = args.groups + first * (columns / args.group) * 8;
  let codes = args.codes + first * columns;
  let x = args.x + first * columns * 4;
  const last = args.codes + end * columns;
  while (codes < last) {
    const scale = v128.load32_splat(pair);
    for (const stop = codes + args.group; codes < stop; codes += 4) {
      const four = i32x4.extend_low_i16x8_s(v128.load_ext<i8>(codes));
      v128.store(x, f32x4.mul(f32x4.convert_i32x4_s(four), scale));
      x += 16;
    }
    pair += 8;
  }
}
