import { transform } from "./parts/walsh_hadamard";

@unmanaged
class Args {
  x: usize;
  positions: usize;
  angles: usize;
  /** What is taken from keys; 0 for nothing. */
  center: usize;
  q: usize;
  k: usize;
  v: usize;
  heads: u32;
  kv_heads: u32;
  half: u32;
  /** Pairs that turn. */
  pairs: u32;
  /** What the Hadamard transform of a head is multiplied by; 0 for none. */
  scale: f32;
  neighbours: u32;
  /** Whether keys stay as they are. */
  still_keys: u32;
  count: u32;
  /** Tokens of a task. */
  task_rows: u32;
}

/** Some tokens are a task. */
export function rope(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const head = <usize> args.half * 8;
  const half = <usize> args.pairs * 4;
  const queries = args.heads * head;
  const keys = args.kv_heads * head;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.count);
  for (let token: usize = first; token < end; token++) {
    const x = args.x + token * (queries + 2 * keys);
    const angles = args.angles + load<u32>(args.positions + token * 4) * (half + half);
    if (args.neighbours) {
      turnNeighbours(x, queries, head, angles, half, args.q + token * queries);
      if (!args.still_keys) {
        turnNeighbours(x + queries, keys, head, angles, half, args.k + token * keys);
      }
    } else {
      turn(x, queries, head, angles, half, args.q + token * queries);
      if (!args.still_keys) turn(x + queries, keys, head, angles, half, args.k + token * keys);
    }
    if (args.still_keys) memory.copy(args.k + token * keys, x + queries, keys);
    memory.copy(args.v + token * keys, x + queries + keys, keys);
    if (args.center) subtract(args.k + token * keys, args.center, keys);
    if (args.scale == 0) continue;
    mix(args.q + token * queries, queries, head, args.scale);
    mix(args.k + token * keys, keys, head, args.scale);
  }
}

/** Turns the first channels of heads by the angles of one position: `half` bytes of cosines, then sines. */
export function turn(
  x: usize,
  bytes: usize,
  head: usize,
  angles: usize,
  half: usize,
  y: usize,
): void {
  for (let from: usize = 0; from < bytes; from += head) {
    const left = x + from;
    const to = y + from;
    let at: usize = 0;
    for (; at + 16 <= half; at += 16) {
      const low = v128.load(left + at);
      const high = v128.load(left + half + at);
      const cosine = v128.load(angles + at);
      const sine = v128.load(angles + half + at);
      v128.store(to + at, f32x4.sub(f32x4.mul(low, cosine), f32x4.mul(high, sine)));
      v128.store(to + half + at, f32x4.add(f32x4.mul(high, cosine), f32x4.mul(low, sine)));
    }
    for (; at < half; at += 4) {
      const low = load<f32>(left + at);
      const high = load<f32>(left + half + at);
      const cosine = load<f32>(angles + at);
      const sine = load<f32>(angles + half + at);
      store<f32>(to + at, low * cosine - high * sine);
      store<f32>(to + half + at, high * cosine + low * sine);
    }
    const end = half + half;
    if (end < head) memory.copy(to + end, left + end, head - end);
  }
}

/** The same of neighbours; four pairs at a time are taken apart and put together again. */
export function turnNeighbours(
  x: usize,
  bytes: usize,
  head: usize,
  angles: usize,
  half: usize,
  y: usize,
): void {
  for (let from: usize = 0; from < bytes; from += head) {
    const left = x + from;
    const to = y + from;
    let at: usize = 0;
    for (; at + 16 <= half; at += 16) {
      const a = v128.load(left + 2 * at);
      const b = v128.load(left + 2 * at, 16);
      const even = i32x4.shuffle(a, b, 0, 2, 4, 6);
      const odd = i32x4.shuffle(a, b, 1, 3, 5, 7);
      const cosine = v128.load(angles + at);
      const sine = v128.load(angles + half + at);
      const low = f32x4.sub(f32x4.mul(even, cosine), f32x4.mul(odd, sine));
      const high = f32x4.add(f32x4.mul(odd, cosine), f32x4.mul(even, sine));
      v128.store(to + 2 * at, i32x4.shuffle(low, high, 0, 4, 1, 5));
      v128.store(to + 2 * at, i32x4.shuffle(low, high, 2, 6, 3, 7), 16);
    }
    for (; at < half; at += 4) {
      const even = load<f32>(left + 2 * at);
      const odd = load<f32>(left + 2 * at, 4);
      const cosine = load<f32>(angles + at);
      const sine = load<f32>(angles + half + at);
      store<f32>(to + 2 * at, even * cosine - odd * sine);
      store<f32>(to + 2 * at, odd * cosine + even * sine, 4);
    }
    const end = half + half;
    if (end < head) memory.copy(to + end, left + end, head - end);
  }
}

/** Takes values from others, so many bytes. */
export function subtract(y: usize, from: usize, bytes: usize): void {
  let at: usize = 0;
  for (; at + 16 <= bytes; at += 16) {
    v128.store(y + at, f32x4.sub(v128.load(y + at), v128.load(from + at)));
  }
  for (; at < bytes; at += 4) store<f32>(y + at, load<f32>(y + at) - load<f32>(from + at));
}

/** The Hadamard transform of each head. */
export function mix(y: usize, bytes: usize, head: usize, scale: f32): void {
  for (let at = y; at < y + bytes; at += head) transform(at, head, scale, at);
}
