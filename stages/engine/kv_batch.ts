import { attentionBatch, type AttentionSpan } from "../../kernels/attention_paged.ts";
import type { HostTensor, TensorRef, TensorSpec } from "../../kernels/device/device.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import { PAGE_TOKENS } from "../../kernels/parts/kv_page.ts";
import type { Chunk } from "./scheduler.ts";

/** What the attention of one step needs beside queries, keys and values, in all layers alike. */
export interface KvBatch<T extends TensorSpec = TensorRef> {
  /** Where the keys and values of each token go: page * 64 + place in it, u32 [tokens]. */
  readonly slots: T;
  /** Pages of all sequences, one after another, u32 [pages]. */
  readonly block_table: T;
  readonly spans: T;
  readonly work: T;
  /** Most queries of a sequence. */
  readonly queries: number;
}

/** The batch of a step's chunks; a sequence's pages may reach further than its tokens. */
export function kvBatch(chunks: readonly Chunk[]): KvBatch<HostTensor> {
  const slots = chunks.flatMap(({ sequence: { pages }, start, count }) =>
    Array.from({ length: count }, (_, i) => {
      const at = start + i;
      return pages[Math.floor(at / PAGE_TOKENS)]! * PAGE_TOKENS + at % PAGE_TOKENS;
    })
  );
  const spans: AttentionSpan[] = [];
  const table: number[] = [];
  let row = 0;
  for (const { sequence: { pages }, start, count } of chunks) {
    spans.push({ row, queries: count, keys: start + count, table: table.length });
    table.push(...pages);
    row += count;
  }
  return {
    slots: u32([slots.length], slots),
    block_table: u32([table.length], table),
    ...attentionBatch(spans),
    queries: chunks.reduce((most, { count }) => Math.max(most, count), 0),
  };
}

/** The positions of a step's tokens, u32 [tokens]. */
export function positionsOf(chunks: readonly Chunk[]): HostTensor {
  return perToken(chunks, ({ start }, i) => start + i);
}

/** The tokens of a step that the host knows, u32 [tokens]. */
export function idsOf(chunks: readonly Chunk[]): HostTensor {
  return perToken(chunks, ({ sequence: { tokens }, start }, i) => tokens[start + i]!);
}

function perToken(chunks: readonly Chunk[], of: (chunk: Chunk, i: number) => number): HostTensor {
  const all = chunks.flatMap((chunk) =>
    Array.from({ length: chunk.count }, (_, i) => of(chunk, i))
  );
  return u32([all.length], all);
}
