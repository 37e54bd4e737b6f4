import { ARGS_BYTES, attendTask, GIVEN_BYTES, HELD_BYTES, Turn } from "./attention_paged";

@unmanaged
class Args {
  q: usize;
  k: usize;
  v: usize;
  block_table: usize;
  spans: usize;
  work: usize;
  angles: usize;
  y: usize;
  heads: u32;
  kv_heads: u32;
  window: u32;
  scale: f32;
  /** 0 where there is none. */
  cap: f32;
  items: u32;
  size: u32;
  /** Queries of an item, items of a task, and heads of one kv head. */
  item_queries: u32;
  task_items: u32;
  task_heads: u32;
  /** First tokens of a sequence that stay in half precision. */
  sinks: u32;
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
  pairs: u32;
  neighbours: u32;
}

/** As `attentionPaged`, with its arguments less what turns keys. */
export function attentionTurned(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const by = changetype<Turn>(scratch);
  by.angles = args.angles;
  by.pairs = args.pairs;
  by.neighbours = args.neighbours;
  const own = scratch + sizeof<usize>() * 4;
  memory.copy(own, at, GIVEN_BYTES);
  memory.copy(own + GIVEN_BYTES, at + offsetof<Args>("y"), ARGS_BYTES - GIVEN_BYTES);
  attendTask(own, by, task, scratch + HELD_BYTES);
}
