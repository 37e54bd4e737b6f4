import { multiplyAdd } from "./parts/floats";

@unmanaged
class Args {
  x: usize;
  sum: usize;
  quads: u32;
  factor: f32;
  /** Quads of a task. */
  task_quads: u32;
}

/** A run of values is a task. */
export function addScaled(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const first = <usize> (task * args.task_quads) * 16;
  const end = min(first + <usize> args.task_quads * 16, <usize> args.quads * 16);
  const factor = f32x4.splat(args.factor);
  for (let c = first; c < end; c += 16) {
    v128.store(args.sum + c, multiplyAdd(v128.load(args.x + c), factor, v128.load(args.sum + c)));
  }
}
