import { BLOCK, SLICE_BYTES } from "./parts/attention_products";
import { addBlock, firstBlock, giveSums, layRows, takeQueries } from "./parts/attention_rows";
import { decodePage, decodeSinks, leadOf, Page } from "./parts/kv_page";
import { turn, turnNeighbours } from "./rope";

@unmanaged
class Args {
  q: usize;
  k: usize;
  v: usize;
  block_table: usize;
  spans: usize;
  work: usize;
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
}

/** The queries of a sequence. */
@unmanaged
class Span {
  row: u32;
  queries: u32;
  keys: u32;
  table: u32;
}

/** A sequence and the first of its queries that an item has. */
@unmanaged
class Item {
  sequence: u32;
  query: u32;
}

/** What turns keys when they are read. */
@unmanaged
export class Turn {
  /** 0 where they have been turned. */
  angles: usize;
  pairs: u32;
  neighbours: u32;
}

/** Bytes of the arguments. */
export const ARGS_BYTES: usize = offsetof<Args>();
/** Bytes of those before what is made. */
export const GIVEN_BYTES: usize = offsetof<Args>("y");
/** Bytes of a thread's memory in which arguments lie. */
export const HELD_BYTES: usize = 256;

/** Some items are a task, for some heads that share a kv head; those of late queries come first. */
export function attentionPaged(at: usize, task: u32, scratch: usize): void {
  const none = changetype<Turn>(scratch);
  none.angles = 0;
  attendTask(at, none, task, scratch + HELD_BYTES);
}

/** The same where keys are turned. */
export function attendTask(at: usize, by: Turn, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const group = args.heads / args.kv_heads;
  const parts = (group + args.task_heads - 1) / args.task_heads;
  const across = args.kv_heads * parts;
  const tiles = (args.items + args.task_items - 1) / args.task_items;
  const kvHead = task % across / parts;
  const part = task % parts * args.task_heads;
  const heads = min(args.task_heads, group - part);
  let item = (tiles - 1 - task / across) * args.task_items;
  const end = min(item + args.task_items, args.items);
  while (item < end) {
    const first = changetype<Item>(args.work + item * offsetof<Item>());
    let items: u32 = 1;
    while (item + items < end && follows(first, items, args.item_queries)) items++;
    const queries = items * args.item_queries;
    const head = kvHead * group + part;
    attend(at, by, first.sequence, first.query, queries, kvHead, head, heads, scratch);
    item += items;
  }
}

/** Whether the item some places behind another one has the queries that follow. */
function follows(first: Item, items: u32, queries: u32): bool {
  const other = changetype<Item>(changetype<usize>(first) + items * offsetof<Item>());
  return other.sequence == first.sequence && other.query == first.query + items * queries;
}

/** Turns keys, which are those of a token and of some behind it, by the angles of their positions. */
function turnKeys(
  by: Turn,
  keys: usize,
  position: u32,
  count: u32,
  head: usize,
  next: usize,
): void {
  const half = <usize> by.pairs * 4;
  let angles = by.angles + <usize> position * 2 * half;
  for (let i: u32 = 0; i < count; i++) {
    if (by.neighbours) turnNeighbours(keys, head, head, angles, half, keys);
    else turn(keys, head, head, angles, half, keys);
    angles += 2 * half;
    keys += next;
  }
}

/** Makes up to so many queries of a sequence from one on, for heads that share a kv head. */
function attend(
  at: usize,
  by: Turn,
  sequence: u32,
  first: u32,
  most: u32,
  kvHead: u32,
  head: u32,
  heads: u32,
  scratch: usize,
): void {
  const args = changetype<Args>(at);
  const span = changetype<Span>(args.spans + sequence * offsetof<Span>());
  // What pads a batch has no queries.
  if (first >= span.queries) return;
  const queries = min(most, span.queries - first);
  const place = span.keys - span.queries + first;
  const size = args.size;
  const lead = leadOf(args.sinks);
  const rows = layRows(scratch, queries, heads, size, place, lead, args.window, args.cap);
  const stride = args.heads * rows.given;
  const from = (span.row + first) * stride + head * rows.given;
  takeQueries(rows, args.q + from, stride, args.scale);
  const keyPage = changetype<Page>(at + offsetof<Args>("key_bits"));
  const valuePage = changetype<Page>(at + offsetof<Args>("value_bits"));
  const end = place + queries;
  for (let key = firstBlock(rows); key < end; key += BLOCK) {
    const page = <usize> load<u32>(args.block_table + <usize> (span.table + key / BLOCK) * 4);
    const count = min<u32>(end - key, BLOCK);
    const keys = args.k + page * keyPage.words * 4;
    decodePage(
      keyPage,
      keys,
      args.kv_heads,
      kvHead,
      count,
      size,
      rows.keys,
      64,
      rows.bytes,
      rows.rest,
    );
    const values = args.v + page * valuePage.words * 4;
    decodePage(
      valuePage,
      values,
      args.kv_heads,
      kvHead,
      count,
      size,
      rows.values,
      SLICE_BYTES,
      64,
      rows.rest,
    );
    if (key < lead) {
      const sinks = args.sinks;
      decodeSinks(keyPage, keys, kvHead, sinks, count, size, rows.keys, 64, rows.bytes);
      decodeSinks(valuePage, values, kvHead, sinks, count, size, rows.values, SLICE_BYTES, 64);
    }
    if (by.angles) {
      const before = key < lead ? lead : 0;
      const from = rows.keys + before * rows.bytes;
      turnKeys(by, from, key + before - lead, count - before, rows.given, rows.bytes);
    }
    addBlock(rows, key);
  }
  giveSums(rows, args.y + from, stride);
}
