import type { Device, HostTensor, Tensor } from "../../kernels/device/device.ts";
import { PAGE_TOKENS } from "../../kernels/codes/kv_page.ts";
import { penalize, sample } from "../../kernels/mod.ts";
import {
  attendedBy,
  idsOf,
  ownersOf,
  pagesOfLongest,
  positionsOf,
  slotsOf,
  tableOf,
} from "./kv_batch.ts";
import type { ScoredToken } from "./engine.ts";
import type { LogitChanges } from "./logit_changes.ts";
import type { PagedForward } from "./paged_forward.ts";
import { changesOf, drawsOf, settingsOf } from "./sampling.ts";
import type { Chunk } from "./scheduler.ts";
import { waitsForGrammar } from "./sequence.ts";
import { readScores, scoreTokens } from "./token_scores.ts";

/** Decode steps of so many sequences, put on record to be run again and again. */
export interface RecordedSteps extends Disposable {
  /**
   * Runs the steps for chunks that generate; the tokens of each chunk, one a step or one behind each
   * token of its draft, or undefined where its grammar did not say what may come. While the device is
   * at the layers, `ready` is waited for.
   */
  run(
    chunks: readonly Chunk[],
    ready: () => Promise<void>,
  ): Promise<readonly (readonly ScoredToken[] | undefined)[]>;
}

/** Most tokens of a draft that runs in such a step. */
export const MOST_DRAFT = 7;

/** Launches that choose tokens from logits which change: `penalize` and `sample`. */
const CHOOSING = 2;

/** Tensors that scores of a step are told in. */
const SCORES = 3;

/**
 * Puts `steps` decode steps on record for as many sequences as there are chunks, each of one token, or
 * one step for as many tokens as they and their drafts have together. Each step's
 * tokens are the next one's input, and the host waits once; of the host's data only what differs is
 * written anew. Weights and pages must stay on the device; `context` is the longest sequence. With
 * `changes` it is one step, whose logits change as the sequences want before tokens are chosen; with
 * `likeliest` tokens are scored, and so many of the likeliest.
 */
export async function recordSteps(
  device: Device,
  forward: PagedForward,
  { chunks, steps, context, changes, likeliest, drawn = {} }: {
    readonly chunks: readonly Chunk[];
    readonly steps: number;
    readonly context: number;
    readonly changes?: LogitChanges | undefined;
    readonly likeliest?: number | undefined;
    /** Which tokens are drawn from; see `sample`. */
    readonly drawn?: { readonly choices?: number };
  },
): Promise<RecordedSteps> {
  using stack = new DisposableStack();
  const held = (host: HostTensor) => stack.use(device.upload(host));
  const ids = held(idsOf(chunks));
  const owners = forward.model.adapters && held(ownersOf(chunks));
  const { sinks } = forward;
  const work = held(attendedBy(chunks, sinks).work);
  const queries = Math.max(...chunks.map(({ count }) => count));
  const mostQueries = queries > 1 ? MOST_DRAFT + 1 : 1;
  const pages = pagesOfLongest(context, sinks);
  const keys = pages * PAGE_TOKENS;
  const block_table = stack.use(device.empty({ dtype: "u32", shape: [chunks.length * pages] }));
  const inputs = Array.from({ length: steps }, (_, step) => {
    const { positions, slots, spans } = placesOf(chunks, step, sinks);
    return {
      positions: held(positions),
      slots: held(slots),
      spans: held(spans),
      settings: held(settingsOf(draws(chunks), { ahead: step })),
    };
  });
  const recording = stack.use(
    await device.record(async () => {
      const tokens: Tensor[] = [];
      const scores: Tensor[] = [];
      for (const { settings, ...places } of inputs) {
        const from = tokens.at(-1) ?? ids;
        const batch = { ...places, owners, work, block_table, queries: mostQueries, keys };
        using hidden = await forward.hidden(from, batch);
        using plain = await forward.logits(hidden);
        using changed = changes && device.run(penalize, { logits: plain, ...changes.inputs }, {}).y;
        const logits = changed ?? plain;
        const chosen = device.run(sample, { logits, settings }, drawn).tokens;
        tokens.push(chosen);
        if (likeliest === undefined) continue;
        scores.push(...scoreTokens(device, plain, { tokens: chosen, count: likeliest }));
      }
      return [...tokens, ...scores];
    }),
  );
  const owned = stack.move();
  return {
    async run(chunks, ready) {
      device.write(ids, idsOf(chunks));
      if (owners) device.write(owners, ownersOf(chunks));
      device.write(block_table, tableOf(chunks));
      inputs.forEach((tensors, step) => {
        const hosts = placesOf(chunks, step, sinks);
        for (const name of ["positions", "slots", "spans"] as const) {
          device.write(tensors[name], hosts[name]);
        }
      });
      const scoring = likeliest === undefined ? 0 : 1;
      const choosing = changes ? recording.launches - CHOOSING - scoring : 0;
      recording.replay({ to: choosing });
      // A graphics processor begins with the layers when something is written behind them.
      const all = draws(chunks);
      inputs.forEach(({ settings }, step) => {
        device.write(settings, settingsOf(all, { ahead: step }));
      });
      let known = chunks.map(({ count }) => count);
      if (changes) {
        await ready();
        known = chunks.map(knownDraws);
        changes.write(all.map(changesOf));
      }
      recording.replay({ from: choosing });
      const read = await Promise.all(recording.outputs.map((tensor) => device.read(tensor)));
      const wanted = all.map(({ sequence: { request: { logprobs } } }) => logprobs);
      const told = read.slice(0, steps).map(({ data }, step) =>
        likeliest === undefined
          ? all.map((_, row) => ({ token: data[row]! }))
          : readScores(data, read.slice(steps + SCORES * step, steps + SCORES * (step + 1)), wanted)
      );
      let row = 0;
      return chunks.map(({ count }, i) => {
        const first = row;
        row += count;
        if (known[i] === 0) return undefined;
        if (count > 1) return told[0]!.slice(first, first + known[i]!);
        return told.map((tokens) => tokens[first]!);
      });
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** Where the tokens of a step stand, so many tokens further than the chunks say. */
function placesOf(chunks: readonly Chunk[], step: number, sinks: number) {
  const moved = chunks.map((chunk) => ({ ...chunk, start: chunk.start + step }));
  const { spans } = attendedBy(moved, sinks);
  return { positions: positionsOf(moved), slots: slotsOf(moved, sinks), spans };
}

function draws(chunks: readonly Chunk[]) {
  return chunks.flatMap(drawsOf);
}

/** Of how many draws of a chunk it is known what its grammar allows. */
export function knownDraws({ sequence, draft }: Chunk): number {
  if (waitsForGrammar(sequence)) return 0;
  return 1 + (sequence.constraint ? sequence.constraint.along.length : draft.length);
}
