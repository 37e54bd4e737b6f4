import { TOKENIZER_LIMITS } from "./limits.ts";

/** Which pairs of tokens become one, best first. */
export interface Merges {
  /** The rank of a pair, by `left * TOKENIZER_LIMITS.ids + right`. */
  readonly ranks: ReadonlyMap<number, number>;
  /** The id that the merge of a rank makes. */
  readonly made: Int32Array;
}

/** Places in a stretch are below this: a rank and a place are one number. */
const PLACES = 2 ** 30;

/** Merges neighbours, the best rank first and the leftmost of one rank, until none are left. */
export function mergeSymbols(ids: number[], { ranks, made }: Merges): readonly number[] {
  if (ids.length < 2) return ids;
  const next = Int32Array.from(ids, (_, at) => at + 1);
  const previous = Int32Array.from(ids, (_, at) => at - 1);
  const end = ids.length;
  const gone = new Uint8Array(end);
  const heap: number[] = [];
  const offer = (at: number) => {
    const right = next[at]!;
    if (at < 0 || right >= end) return;
    const rank = ranks.get(ids[at]! * TOKENIZER_LIMITS.ids + ids[right]!);
    if (rank !== undefined) push(heap, rank * PLACES + at);
  };
  for (let at = 0; at < end - 1; at++) offer(at);
  while (heap.length > 0) {
    const best = pop(heap);
    const rank = Math.floor(best / PLACES);
    const at = best % PLACES;
    const right = next[at]!;
    // What has changed since it was offered has another rank.
    if (gone[at] || right >= end) continue;
    if (ranks.get(ids[at]! * TOKENIZER_LIMITS.ids + ids[right]!) !== rank) continue;
    ids[at] = made[rank]!;
    gone[right] = 1;
    next[at] = next[right]!;
    if (next[at]! < end) previous[next[at]!] = at;
    if (previous[at]! >= 0) offer(previous[at]!);
    offer(at);
  }
  return ids.filter((_, at) => !gone[at]);
}

function push(heap: number[], value: number): void {
  let at = heap.length;
  heap.push(value);
  while (at > 0) {
    const above = (at - 1) >> 1;
    if (heap[above]! <= value) break;
    heap[at] = heap[above]!;
    at = above;
  }
  heap[at] = value;
}

function pop(heap: number[]): number {
  const best = heap[0]!;
  const value = heap.pop()!;
  if (heap.length === 0) return best;
  let at = 0;
  for (let below = 1; below < heap.length; below = 2 * at + 1) {
    if (below + 1 < heap.length && heap[below + 1]! < heap[below]!) below++;
    if (heap[below]! >= value) break;
    heap[at] = heap[below]!;
    at = below;
  }
  heap[at] = value;
  return best;
}
