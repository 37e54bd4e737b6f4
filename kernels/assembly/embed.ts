import { widened } from "./parts/floats";

@unmanaged
class Args {
  tokens: usize;
  embeddings: usize;
  y: usize;
  columns: u32;
  first: u32;
  rows: u32;
  count: u32;
  scale: f32;
  half: u32;
  /** Tokens of a task. */
  task_rows: u32;
}

/** Some tokens are a task. */
export function embed(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const columns = <usize> args.columns;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.count);
  for (let token: usize = first; token < end; token++) {
    // A token before `first` wraps to a large row.
    const row = load<u32>(args.tokens + token * 4) - args.first;
    if (row >= args.rows) continue;
    const y = args.y + token * columns * 4;
    if (args.half) {
      widen(args.embeddings + <usize> row * columns * 2, columns * 4, y);
    } else {
      memory.copy(y, args.embeddings + <usize> row * columns * 4, columns * 4);
    }
    if (args.scale != 1) multiply(y, columns * 4, args.scale);
  }
}

/** Multiplies values, a multiple of four. */
function multiply(y: usize, bytes: usize, scale: f32): void {
  const factor = f32x4.splat(scale);
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(y + at, f32x4.mul(v128.load(y + at), factor));
  }
}

/** Half-precision values, a multiple of four, to single ones. */
function widen(from: usize, bytes: usize, y: usize): void {
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(y + at, widened(v128.load_ext<i16>(from + at / 2)));
  }
}
