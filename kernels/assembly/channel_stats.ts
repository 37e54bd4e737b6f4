import { multiplyAdd } from "./parts/floats";

@unmanaged
class Args {
  x: usize;
  stats: usize;
  rows: u32;
  quads: u32;
  /** Quads of channels of a task. */
  task_quads: u32;
}

/** Some channels are a task; what it knows of them lies in the thread's own memory. */
export function channelStats(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const first = task * args.task_quads;
  const bytes = <usize> min(args.task_quads, args.quads - first) * 16;
  const width = <usize> args.quads * 16;
  const from = args.x + <usize> first * 16;
  const sums = scratch + bytes;
  const squares = sums + bytes;
  memory.fill(scratch, 0, 3 * bytes);
  for (let row: usize = 0; row < args.rows; row++) {
    const x = from + row * width;
    for (let c: usize = 0; c < bytes; c += 16) {
      const value = v128.load(x + c);
      const size = f32x4.abs(value);
      // The bits of magnitudes have the order of their values.
      v128.store(scratch + c, i32x4.max_s(v128.load(scratch + c), size));
      v128.store(sums + c, f32x4.add(v128.load(sums + c), size));
      v128.store(squares + c, multiplyAdd(value, value, v128.load(squares + c)));
    }
  }
  const stats = args.stats + <usize> first * 16;
  for (let c: usize = 0; c < bytes; c += 16) {
    const to = stats + c;
    v128.store(to, f32x4.max(v128.load(to), v128.load(scratch + c)));
    v128.store(to + width, f32x4.add(v128.load(to + width), v128.load(sums + c)));
    const last = to + 2 * width;
    v128.store(last, f32x4.add(v128.load(last), v128.load(squares + c)));
  }
}
