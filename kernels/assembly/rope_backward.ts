@unmanaged
class Args {
  dq: usize;
  dk: usize;
  dv: usize;
  positions: usize;
  angles: usize;
  dx: usize;
  heads: u32;
  kv_heads: u32;
  size: u32;
  turned: u32;
  count: u32;
  /** Tokens of a task. */
  task_rows: u32;
}

/** Some tokens are a task. */
export function ropeBackward(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const head = <usize> args.size * 4;
  const half = <usize> args.turned * 2;
  const queries = args.heads * head;
  const keys = args.kv_heads * head;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.count);
  for (let token: usize = first; token < end; token++) {
    const dx = args.dx + token * (queries + 2 * keys);
    const angles = args.angles + load<u32>(args.positions + token * 4) * 2 * half;
    turnBack(args.dq + token * queries, queries, head, angles, half, dx);
    turnBack(args.dk + token * keys, keys, head, angles, half, dx + queries);
    memory.copy(dx + queries + keys, args.dv + token * keys, keys);
  }
}

/** Turns the first channels of heads back; `half` is the bytes of cosines, then of sines. */
function turnBack(
  dy: usize,
  bytes: usize,
  head: usize,
  angles: usize,
  half: usize,
  dx: usize,
): void {
  for (let from: usize = 0; from < bytes; from += head) {
    const own = dy + from;
    const to = dx + from;
    let at: usize = 0;
    for (; at + 16 <= half; at += 16) {
      const low = v128.load(own + at);
      const high = v128.load(own + half + at);
      const cosine = v128.load(angles + at);
      const sine = v128.load(angles + half + at);
      v128.store(to + at, f32x4.add(f32x4.mul(low, cosine), f32x4.mul(high, sine)));
      v128.store(to + half + at, f32x4.sub(f32x4.mul(high, cosine), f32x4.mul(low, sine)));
    }
    for (; at < half; at += 4) {
      const low = load<f32>(own + at);
      const high = load<f32>(own + half + at);
      const cosine = load<f32>(angles + at);
      const sine = load<f32>(angles + half + at);
      store<f32>(to + at, low * cosine + high * sine);
      store<f32>(to + half + at, high * cosine - low * sine);
    }
    const end = half + half;
    if (end < head) memory.copy(to + end, own + end, head - end);
  }
}
