import { deserialize, serialize } from "node:v8";
import type { Device } from "../../kernels/device/device.ts";
import type { Model } from "../models/model.ts";
import { streamShare } from "../models/memory_shares.ts";
import type { DecoderConfig } from "../models/config.ts";
import { scoreTrees, type TargetScores } from "./log_likelihoods.ts";
import { type PrefixTree, TreeBuilder } from "./prefix_tree.ts";
import type { TokenRequest } from "./token_requests.ts";

/** The sum over what is scored of a request, and whether all of it is the likeliest. */
export interface RequestScore {
  readonly logLikelihood: number;
  readonly greedy: boolean;
}

/** What keeps scores between runs. */
export interface ScoreKeeper {
  read(name: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  write(name: string, bytes: Uint8Array): Promise<void>;
}

/** How requests are scored. */
export interface ScoreOptions {
  /** Names entries of the journal. */
  readonly name: string;
  readonly memoryBytes: number;
  readonly journal: ScoreKeeper;
  readonly signal: AbortSignal;
  /** Told of requests that are scored, of all. */
  progress(done: number): void;
}

/** Tokens that go through a layer together. */
const ROWS = { cpu: 1024, gpu: 4096 } as const;

/** Requests that are run together, by their places. */
export interface RequestBatch {
  readonly places: readonly number[];
  readonly tree: PrefixTree;
}

/**
 * Cuts requests into batches that share what they begin with, of so many different tokens each, in
 * order; one that is longer stands alone. Where frequencies of positions depend on a sequence's
 * length, all of a batch are as long.
 */
export function* requestBatches(
  requests: readonly TokenRequest[],
  { rows, ropes }: { readonly rows: number; readonly ropes: DecoderConfig["ropes"] },
): Generator<RequestBatch> {
  const byLength = ropes.some(({ scaling }) =>
    scaling.type === "dynamic" || scaling.type === "longrope"
  );
  const places = [...requests.keys()];
  const lengthOf = (place: number) => requests[place]!.ids.length;
  if (byLength) places.sort((a, b) => lengthOf(a) - lengthOf(b) || a - b);
  let builder = new TreeBuilder();
  let taken: number[] = [];
  for (const place of places) {
    const request = requests[place]!;
    const [first] = taken;
    const other = byLength && first !== undefined && lengthOf(first) !== request.ids.length;
    if (taken.length > 0 && (other || builder.size + builder.added(request) > rows)) {
      yield { places: taken, tree: builder.build() };
      builder = new TreeBuilder();
      taken = [];
    }
    builder.add(request);
    taken.push(place);
  }
  if (taken.length > 0) yield { places: taken, tree: builder.build() };
}

/** How many tokens a batch of a device has. */
export function batchRows({ limits }: Pick<Device, "limits">): number {
  return ROWS[limits.adapter];
}

/** Bytes of the residual stream of a batch, and of what is not added to it yet. */
export function streamBytes({ ids }: PrefixTree, hidden: number): number {
  return 2 * 4 * ids.length * hidden;
}

/** Scores requests; those of an earlier run come from the journal. */
export async function scoreRequests(
  device: Device,
  model: Model,
  requests: readonly TokenRequest[],
  { name, memoryBytes, journal, signal, progress }: ScoreOptions,
): Promise<readonly RequestScore[]> {
  const rows = batchRows(device);
  const scores: RequestScore[] = [];
  let done = 0;
  const take = ({ places }: Pick<RequestBatch, "places">, found: readonly RequestScore[]) => {
    places.forEach((place, at) => scores[place] = found[at]!);
    progress(done += places.length);
  };
  let group: (RequestBatch & { readonly entry: string })[] = [];
  let held = 0;
  const run = async () => {
    const trees = group.map(({ tree }) => tree);
    let at = 0;
    for await (const found of scoreTrees(device, model, trees, { signal })) {
      const batch = group[at++]!;
      const each = sums(batch.places.map((place) => requests[place]!), found);
      await journal.write(batch.entry, serialize(each));
      take(batch, each);
    }
    group = [];
    held = 0;
  };
  let number = 0;
  for (const batch of requestBatches(requests, { rows, ropes: model.config.ropes })) {
    signal.throwIfAborted();
    const entry = `${name}-${rows}-${number++}`;
    const known = await journal.read(entry);
    if (known) {
      take(batch, deserialize(known));
      continue;
    }
    const bytes = streamBytes(batch.tree, model.config.hidden);
    const full = model.resident || held + bytes > streamShare(memoryBytes);
    if (group.length > 0 && full) await run();
    group.push({ ...batch, entry });
    held += bytes;
  }
  if (group.length > 0) await run();
  return scores;
}

function sums(
  requests: readonly TokenRequest[],
  { logLikelihoods, greedy }: TargetScores,
): RequestScore[] {
  let at = 0;
  return requests.map(({ scored }) => {
    const from = at;
    at += scored;
    const logLikelihood = logLikelihoods.subarray(from, at).reduce((sum, value) => sum + value, 0);
    return { logLikelihood, greedy: greedy.slice(from, at).every(Boolean) };
  });
}
