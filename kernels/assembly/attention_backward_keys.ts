import { dotOf } from "./parts/dot";
import { exp1 } from "./parts/exp";
import { multiplyAdd } from "./parts/floats";

@unmanaged
class Args {
  q: usize;
  k: usize;
  v: usize;
  dy: usize;
  rows: usize;
  dk: usize;
  dv: usize;
  tokens: u32;
  heads: u32;
  kv_heads: u32;
  scale: f32;
  size: u32;
  /** Keys of a task. */
  task_tokens: u32;
}

/** Some keys of a kv head are a task; those that most queries see come first. */
export function attentionBackwardKeys(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.size * 4;
  const kvHead = task % args.kv_heads;
  const first = task / args.kv_heads * args.task_tokens;
  const end = min(first + args.task_tokens, args.tokens);
  const sharers = args.heads / args.kv_heads;
  for (let key = first; key < end; key++) {
    const own = (<usize> key * args.kv_heads + kvHead) * bytes;
    const dk = args.dk + own;
    const dv = args.dv + own;
    for (let c: usize = 0; c < bytes; c += 16) {
      v128.store(dk + c, f32x4.splat(0));
      v128.store(dv + c, f32x4.splat(0));
    }
    for (let i: u32 = 0; i < sharers; i++) {
      for (let query = key; query < args.tokens; query++) {
        const row = <usize> query * args.heads + kvHead * sharers + i;
        const q = args.q + row * bytes;
        const dy = args.dy + row * bytes;
        const score = args.scale * dotOf(q, args.k + own, bytes);
        const weight = exp1(score - load<f32>(args.rows + row * 8));
        const along = load<f32>(args.rows + row * 8, 4);
        const slope = weight * (dotOf(dy, args.v + own, bytes) - along) * args.scale;
        const slopes = f32x4.splat(slope);
        const weights = f32x4.splat(weight);
        for (let c: usize = 0; c < bytes; c += 16) {
          v128.store(dk + c, multiplyAdd(slopes, v128.load(q + c), v128.load(dk + c)));
          v128.store(dv + c, multiplyAdd(weights, v128.load(dy + c), v128.load(dv + c)));
        }
      }
    }
  }
}
