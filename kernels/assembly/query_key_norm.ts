import { normalizeRow } from "./parts/normalize_row";

@unmanaged
class Args {
  x: usize;
  gains: usize;
  heads: u32;
  kv_heads: u32;
  quads: u32;
  eps: f32;
  count: u32;
  /** Tokens of a task. */
  task_rows: u32;
}

/** Some tokens are a task. */
export function queryKeyNorm(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.quads * 16;
  const all = args.heads + 2 * args.kv_heads;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.count);
  for (let token: usize = first; token < end; token++) {
    const x = args.x + token * all * bytes;
    for (let head: usize = 0; head < args.heads + args.kv_heads; head++) {
      const gain = head < args.heads ? args.gains : args.gains + bytes;
      normalizeRow(x + head * bytes, gain, bytes, args.eps, x + head * bytes);
    }
  }
}
