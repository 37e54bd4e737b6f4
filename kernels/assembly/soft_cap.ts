import { softCap4 } from "./parts/tanh";

@unmanaged
class Args {
  x: usize;
  count: u32;
  cap: f32;
  /** Values of a task, a multiple of four. */
  task_values: u32;
}

/** A run of values is a task. */
export function softCap(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const first = task * args.task_values;
  const end = args.x + <usize> min(first + args.task_values, args.count) * 4;
  let x = args.x + <usize> first * 4;
  for (; x + 16 <= end; x += 16) v128.store(x, softCap4(v128.load(x), args.cap));
  for (; x < end; x += 4) {
    store<f32>(x, f32x4.extract_lane(softCap4(v128.load32_splat(x), args.cap), 0));
  }
}
