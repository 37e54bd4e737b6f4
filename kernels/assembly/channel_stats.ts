import { multiplyAdd } from "./parts/floats";

@unmanaged
class Args {
  x: usize;
  stats: usize;
  bounds: usize;
  rows: u32;
  quads: u32;
  /** Whose rows of x are looked at, where there are bounds. */
  expert: u32;
  /** Quads of channels of a task. */
  task_quads: u32;
}

/** Some channels are a task. */
export function channelStats(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const end = min((task + 1) * args.task_quads, args.quads);
  let quad = task * args.task_quads;
  for (; quad + 2 <= end; quad += 2) watch<u16>(args, <usize> quad * 16);
  if (quad < end) watch<u8>(args, <usize> quad * 16);
}

/** Watches as many quads of channels as `R` has bytes, in all rows. */
function watch<R>(args: Args, place: usize): void {
  const width = <usize> args.quads * 16;
  let most = f32x4.splat(0);
  let sum = f32x4.splat(0);
  let squares = f32x4.splat(0);
  let nextMost = f32x4.splat(0);
  let nextSum = f32x4.splat(0);
  let nextSquares = f32x4.splat(0);
  const bounds = args.bounds + <usize> args.expert * 4;
  const end = args.bounds ? load<u32>(bounds, 4) : args.rows;
  let row = args.bounds ? load<u32>(bounds) : 0;
  let x = args.x + row * width + place;
  for (; row < end; row++) {
    const value = v128.load(x);
    const size = f32x4.abs(value);
    // The bits of magnitudes have the order of their values.
    most = i32x4.max_s(most, size);
    sum = f32x4.add(sum, size);
    squares = multiplyAdd(value, value, squares);
    if (sizeof<R>() > 1) {
      const next = v128.load(x, 16);
      const nextSize = f32x4.abs(next);
      nextMost = i32x4.max_s(nextMost, nextSize);
      nextSum = f32x4.add(nextSum, nextSize);
      nextSquares = multiplyAdd(next, next, nextSquares);
    }
    x += width;
  }
  const stats = args.stats + place;
  tell(stats, width, most, sum, squares);
  if (sizeof<R>() > 1) tell(stats + 16, width, nextMost, nextSum, nextSquares);
}

/** Joins what was seen of a quad into what is known. */
function tell(stats: usize, width: usize, most: v128, sum: v128, squares: v128): void {
  v128.store(stats, f32x4.max(v128.load(stats), most));
  v128.store(stats + width, f32x4.add(v128.load(stats + width), sum));
  const last = stats + 2 * width;
  v128.store(last, f32x4.add(v128.load(last), squares));
}
