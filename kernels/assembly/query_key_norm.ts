import { centerRow, normalizeRow } from "./parts/normalize_row";

@unmanaged
class Args {
  x: usize;
  gains: usize;
  queries: u32;
  keys: u32;
  query_quads: u32;
  key_quads: u32;
  quads: u32;
  query_gain: u32;
  key_gain: u32;
  keys_from: u32;
  eps: f32;
  centered: u32;
  count: u32;
  /** Tokens of a task. */
  task_rows: u32;
}

/** Some tokens are a task. */
export function queryKeyNorm(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const query = <usize> args.query_quads * 16;
  const key = <usize> args.key_quads * 16;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.count);
  for (let token: usize = first; token < end; token++) {
    let x = args.x + token * args.quads * 16;
    for (let run: usize = 0; run < args.queries; run++) {
      normalize(args, x, args.gains + run * args.query_gain * 16, query);
      x += query;
    }
    const gains = args.gains + <usize> args.keys_from * 16;
    for (let run: usize = 0; run < args.keys; run++) {
      normalize(args, x, gains + run * args.key_gain * 16, key);
      x += key;
    }
  }
}

function normalize(args: Args, x: usize, gain: usize, bytes: usize): void {
  if (args.centered) centerRow(x, bytes, x);
  normalizeRow(x, gain, bytes, args.eps, x);
}
