import { attentionBatch, type AttentionSpan } from "../../kernels/attention_paged.ts";
import type { HostTensor, TensorRef, TensorSpec } from "../../kernels/device/device.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import { leadOf, pagesFor, slotOf } from "../../kernels/codes/kv_page.ts";
import type { Chunk } from "./scheduler.ts";

/** What the attention of one step needs beside queries, keys and values, in all layers alike. */
export interface KvBatch<T extends TensorSpec = TensorRef> {
  /** Where the keys and values of each token go, as `slotOf()` says, u32 [tokens]. */
  readonly slots: T;
  /** Pages of all sequences, one after another, u32 [pages]. */
  readonly block_table: T;
  readonly spans: T;
  readonly work: T;
  /** Most queries of a sequence. */
  readonly queries: number;
  /** Most places of a sequence: keys, and what stands free before them where it has sinks. */
  readonly keys: number;
}

/** Pages of a sequence as long as the context, and one to run ahead into. */
export function pagesOfLongest(context: number, sinks: number): number {
  return pagesFor(context, sinks) + 1;
}

/**
 * The batch of a step's chunks, of sequences whose first `sinks` tokens stay in half precision; a sequence's
 * pages may reach further than its tokens.
 */
export function kvBatch(chunks: readonly Chunk[], sinks: number): KvBatch<HostTensor> {
  const longest = chunks.reduce((most, { start, count }) => Math.max(most, start + count), 0);
  return {
    slots: slotsOf(chunks, sinks),
    block_table: tableOf(chunks),
    ...attendedBy(chunks, sinks),
    queries: chunks.reduce((most, { count }) => Math.max(most, count), 0),
    keys: longest + leadOf(sinks),
  };
}

/** Where the keys and values of a step's tokens go, u32 [tokens]. */
export function slotsOf(chunks: readonly Chunk[], sinks: number): HostTensor {
  return perToken(chunks, ({ sequence: { pages }, start }, i) => slotOf(pages, start + i, sinks));
}

/** The numbers of a step's tokens' adapters, 0 for none, u32 [tokens]. */
export function ownersOf(chunks: readonly Chunk[]): HostTensor {
  return perToken(chunks, ({ sequence: { request } }) => request.adapter ?? 0);
}

/** The pages of a step's sequences, u32 [pages]. */
export function tableOf(chunks: readonly Chunk[]): HostTensor {
  const pages = chunks.flatMap(({ sequence }) => sequence.pages);
  return u32([pages.length], pages);
}

/** Spans and items of work of a step. */
export function attendedBy(
  chunks: readonly Chunk[],
  sinks: number,
): ReturnType<typeof attentionBatch> {
  let [row, table] = [0, 0];
  return attentionBatch(chunks.map(({ sequence: { pages }, start, count }): AttentionSpan => {
    const span = { row, queries: count, keys: start + count + leadOf(sinks), table };
    row += count;
    table += pages.length;
    return span;
  }));
}

/** The positions of a step's tokens, u32 [tokens]. */
export function positionsOf(chunks: readonly Chunk[]): HostTensor {
  return perToken(chunks, ({ start }, i) => start + i);
}

/** The tokens of a step that the host knows, u32 [tokens]. */
export function idsOf(chunks: readonly Chunk[]): HostTensor {
  return perToken(chunks, ({ sequence: { tokens }, start, draft }, i) => {
    const at = start + i;
    return at < tokens.length ? tokens[at]! : draft[at - tokens.length]!;
  });
}

function perToken(chunks: readonly Chunk[], of: (chunk: Chunk, i: number) => number): HostTensor {
  const tokens = chunks.reduce((sum, { count }) => sum + count, 0);
  const all = new Uint32Array(tokens);
  let at = 0;
  for (const chunk of chunks) {
    for (let i = 0; i < chunk.count; i++) all[at++] = of(chunk, i);
  }
  return u32([tokens], all);
}
