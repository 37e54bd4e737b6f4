import type { EntryKeeper } from "./stream_entries.ts";
import type { StreamsOptions } from "./streams.ts";

/** Bytes of weights that may stay on the device, of the memory there is for data. */
export function weightShare(memoryBytes: number): number {
  return 0.6 * memoryBytes;
}

/** Bytes of residual streams that may stay on the device between two layers. */
export function streamShare(memoryBytes: number): number {
  return 0.25 * memoryBytes;
}

/** Streams that the journal keeps behind every layer, and a keeper as far as memory does not reach. */
export function keptStreams(
  journal: EntryKeeper,
  { keeper, memoryBytes }: { readonly keeper: EntryKeeper; readonly memoryBytes: number },
): Required<Pick<StreamsOptions, "journal" | "spill">> {
  return { journal, spill: { keeper, memoryBytes: streamShare(memoryBytes) } };
}
