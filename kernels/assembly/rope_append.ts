import { append } from "./append_kv";
import { Page, PAGE_TOKENS, SINK_SLOT } from "./parts/kv_page";
import { mix, subtract, turn, turnNeighbours } from "./rope";

@unmanaged
class Args {
  x: usize;
  positions: usize;
  angles: usize;
  /** What is taken from keys; 0 for nothing. */
  center: usize;
  slots: usize;
  keys: usize;
  values: usize;
  q: usize;
  heads: u32;
  kv_heads: u32;
  half: u32;
  /** Pairs that turn. */
  pairs: u32;
  /** What the Hadamard transform of a head is multiplied by; 0 for none. */
  scale: f32;
  pages: u32;
  neighbours: u32;
  /** Whether keys stay as they are. */
  still_keys: u32;
  count: u32;
  /** Tokens of a task. */
  task_rows: u32;
  /** A `Page` each of keys and values. */
  key_bits: u32;
  key_zero: u32;
  key_group: u32;
  key_fixed: u32;
  key_words: u32;
  key_scale: f32;
  key_clip: f32;
  key_fit: u32;
  value_bits: u32;
  value_zero: u32;
  value_group: u32;
  value_fixed: u32;
  value_words: u32;
  value_scale: f32;
  value_clip: f32;
  value_fit: u32;
}

/** Some tokens are a task; `scratch` takes the keys of one, and a head of them. */
export function ropeAppend(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const keyPage = changetype<Page>(at + offsetof<Args>("key_bits"));
  const valuePage = changetype<Page>(at + offsetof<Args>("value_bits"));
  const size = args.half * 2;
  const head = <usize> size * 4;
  const half = <usize> args.pairs * 4;
  const queries = args.heads * head;
  const keys = args.kv_heads * head;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.count);
  for (let token: usize = first; token < end; token++) {
    const x = args.x + token * (queries + 2 * keys);
    const q = args.q + token * queries;
    const angles = args.angles + load<u32>(args.positions + token * 4) * (half + half);
    if (args.neighbours) {
      turnNeighbours(x, queries, head, angles, half, q);
      if (!args.still_keys) turnNeighbours(x + queries, keys, head, angles, half, scratch);
    } else {
      turn(x, queries, head, angles, half, q);
      if (!args.still_keys) turn(x + queries, keys, head, angles, half, scratch);
    }
    if (args.still_keys) memory.copy(scratch, x + queries, keys);
    if (args.center) subtract(scratch, args.center, keys);
    if (args.scale != 0) {
      mix(q, queries, head, args.scale);
      mix(scratch, keys, head, args.scale);
    }
    const slot = load<u32>(args.slots + token * 4);
    if (slot % SINK_SLOT / PAGE_TOKENS >= args.pages) continue;
    const spare = scratch + keys;
    append(keyPage, args.keys, slot, scratch, args.kv_heads, size, 0, spare);
    append(valuePage, args.values, slot, x + queries + keys, args.kv_heads, size, 0, spare);
  }
}
