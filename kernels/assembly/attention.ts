import { BLOCK, SLICE_BYTES } from "./parts/attention_products";
import { addBlock, firstBlock, giveSums, layRows, Rows, takeQueries } from "./parts/attention_rows";

@unmanaged
class Args {
  q: usize;
  k: usize;
  v: usize;
  y: usize;
  queries: u32;
  keys: u32;
  heads: u32;
  kv_heads: u32;
  window: u32;
  scale: f32;
  /** 0 where there is none. */
  cap: f32;
  size: u32;
  /** Queries of a task, and heads of one kv head. */
  task_queries: u32;
  task_heads: u32;
}

/** Some queries are a task, for some heads that share a kv head; those that see most come first. */
export function attention(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const group = args.heads / args.kv_heads;
  const parts = (group + args.task_heads - 1) / args.task_heads;
  const across = args.kv_heads * parts;
  const tiles = (args.queries + args.task_queries - 1) / args.task_queries;
  const first = (tiles - 1 - task / across) * args.task_queries;
  const kvHead = task % across / parts;
  const part = task % parts * args.task_heads;
  const heads = min(args.task_heads, group - part);
  const queries = min(args.task_queries, args.queries - first);
  const place = args.keys - args.queries + first;
  const rows = layRows(scratch, queries, heads, args.size, place, 0, args.window, args.cap);
  const stride = args.heads * rows.given;
  const from = first * stride + (kvHead * group + part) * rows.given;
  takeQueries(rows, args.q + from, stride, args.scale);
  const end = place + queries;
  const kvStride = args.kv_heads * rows.given;
  for (let key = firstBlock(rows); key < end; key += BLOCK) {
    const source = key * kvStride + kvHead * rows.given;
    takeBlock(rows, args.k + source, args.v + source, kvStride, min<u32>(end - key, BLOCK));
    addBlock(rows, key);
  }
  giveSums(rows, args.y + from, stride);
}

/** Copies the first keys and values of a block. */
function takeBlock(rows: Rows, k: usize, v: usize, stride: usize, count: u32): void {
  let keys = rows.keys;
  for (let i: u32 = 0; i < count; i++) {
    let values = rows.values + <usize> i * 64;
    let c: usize = 0;
    for (; c + 64 <= rows.given; c += 64) {
      copySixteen(k + c, keys + c);
      copySixteen(v + c, values);
      values += SLICE_BYTES;
    }
    for (; c < rows.given; c += 16) {
      v128.store(keys + c, v128.load(k + c));
      v128.store(values, v128.load(v + c));
      values += 16;
    }
    keys += rows.bytes;
    k += stride;
    v += stride;
  }
}

function copySixteen(from: usize, to: usize): void {
  v128.store(to, v128.load(from));
  v128.store(to, v128.load(from, 16), 16);
  v128.store(to, v128.load(from, 32), 32);
  v128.store(to, v128.load(from, 48), 48);
}
