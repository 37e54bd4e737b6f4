import { dotOf } from "./parts/dot";
import { EXP_TABLE_BYTES, expFallingRun, expTable } from "./parts/exp";
import { multiplyAdd, sumOf } from "./parts/floats";
import { log1 } from "./parts/log";

@unmanaged
class Args {
  q: usize;
  k: usize;
  v: usize;
  y: usize;
  dy: usize;
  dq: usize;
  rows: usize;
  tokens: u32;
  heads: u32;
  kv_heads: u32;
  scale: f32;
  size: u32;
  /** Queries of a task. */
  task_tokens: u32;
}

/** Some queries of a head are a task; those that see most come first. */
export function attentionBackward(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const tiles = (args.tokens + args.task_tokens - 1) / args.task_tokens;
  const head = task % args.heads;
  const first = (tiles - 1 - task / args.heads) * args.task_tokens;
  const end = min(first + args.task_tokens, args.tokens);
  const bytes = <usize> args.size * 4;
  const kvHead = head / (args.heads / args.kv_heads);
  const next = args.kv_heads * bytes;
  const k = args.k + kvHead * bytes;
  const v = args.v + kvHead * bytes;
  const scores = scratch + EXP_TABLE_BYTES;
  expTable(scratch);
  for (let query = first; query < end; query++) {
    const row = <usize> query * args.heads + head;
    const q = args.q + row * bytes;
    const dy = args.dy + row * bytes;
    const dq = args.dq + row * bytes;
    const keys = <usize> query + 1;
    let largest: f32 = -Infinity;
    for (let key: usize = 0; key < keys; key++) {
      const score = args.scale * dotOf(q, k + key * next, bytes);
      store<f32>(scores + key * 4, score);
      largest = max(largest, score);
    }
    // What stands behind the last one up to a multiple of four weighs nothing.
    const behind = scores + keys * 4;
    v128.store(behind, f32x4.splat(-Infinity));
    const place = scores + ((keys + 3) & ~3) * 4;
    store<f32>(place, largest);
    const total = sumOf(expFallingRun(scratch, scores, place, place, f32x4.splat(0)));
    const along = dotOf(args.y + row * bytes, dy, bytes);
    store<f32>(args.rows + row * 8, largest + log1(total));
    store<f32>(args.rows + row * 8, along, 4);
    for (let c: usize = 0; c < bytes; c += 16) v128.store(dq + c, f32x4.splat(0));
    const factor = args.scale / total;
    for (let key: usize = 0; key < keys; key++) {
      const product = dotOf(dy, v + key * next, bytes);
      const slope = load<f32>(scores + key * 4) * (product - along) * factor;
      addTimes(dq, k + key * next, bytes, slope);
    }
  }
}

/** Adds a row times a factor to another. */
function addTimes(to: usize, x: usize, bytes: usize, factor: f32): void {
  const factors = f32x4.splat(factor);
  for (let c: usize = 0; c < bytes; c += 16) {
    v128.store(to + c, multiplyAdd(factors, v128.load(x + c), v128.load(to + c)));
  }
}
