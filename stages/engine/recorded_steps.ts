import type { Device, HostTensor, Tensor } from "../../kernels/device/device.ts";
import { PAGE_TOKENS } from "../../kernels/codes/kv_page.ts";
import { penalize, sample } from "../../kernels/mod.ts";
import { attendedBy, idsOf, pagesOfLongest, positionsOf, slotsOf, tableOf } from "./kv_batch.ts";
import type { LogitChanges } from "./logit_changes.ts";
import type { PagedForward } from "./paged_forward.ts";
import { changesOf, settingsOf } from "./sampling.ts";
import type { Chunk } from "./scheduler.ts";
import { waitsForGrammar } from "./sequence.ts";

/** Decode steps of so many sequences, put on record to be run again and again. */
export interface RecordedSteps extends Disposable {
  /**
   * Runs the steps for one-token chunks; the tokens of each chunk, one a step, or undefined where its
   * grammar did not say what may come. While the device is at the layers, `ready` is waited for.
   */
  run(
    chunks: readonly Chunk[],
    ready: () => Promise<void>,
  ): Promise<readonly (readonly number[] | undefined)[]>;
}

/** Launches that choose tokens from logits which change: `penalize` and `sample`. */
const CHOOSING = 2;

/**
 * Puts `steps` decode steps on record for as many sequences as there are chunks, each of one token. Each step's
 * tokens are the next one's input, and the host waits once; of the host's data only what differs is
 * written anew. Weights and pages must stay on the device; `context` is the longest sequence. With
 * `changes` it is one step, whose logits change as the sequences want before tokens are chosen.
 */
export async function recordSteps(
  device: Device,
  forward: PagedForward,
  { chunks, steps, context, changes, drawn = {} }: {
    readonly chunks: readonly Chunk[];
    readonly steps: number;
    readonly context: number;
    readonly changes?: LogitChanges | undefined;
    /** Which tokens are drawn from; see `sample`. */
    readonly drawn?: { readonly choices?: number };
  },
): Promise<RecordedSteps> {
  using stack = new DisposableStack();
  const held = (host: HostTensor) => stack.use(device.upload(host));
  const ids = held(idsOf(chunks));
  const work = held(attendedBy(chunks).work);
  const pages = pagesOfLongest(context);
  const keys = pages * PAGE_TOKENS;
  const block_table = stack.use(device.empty({ dtype: "u32", shape: [chunks.length * pages] }));
  const inputs = Array.from({ length: steps }, (_, step) => {
    const { positions, slots, spans } = placesOf(chunks, step);
    return {
      positions: held(positions),
      slots: held(slots),
      spans: held(spans),
      settings: held(drawsOf(chunks, step)),
    };
  });
  const recording = stack.use(
    await device.record(async () => {
      const tokens: Tensor[] = [];
      for (const { settings, ...places } of inputs) {
        const from = tokens.at(-1) ?? ids;
        const batch = { ...places, work, block_table, queries: 1, keys };
        using hidden = await forward.hidden(from, batch);
        using plain = await forward.logits(hidden);
        using changed = changes && device.run(penalize, { logits: plain, ...changes.inputs }, {}).y;
        const logits = changed ?? plain;
        tokens.push(device.run(sample, { logits, settings }, drawn).tokens);
      }
      return tokens;
    }),
  );
  const owned = stack.move();
  return {
    async run(chunks, ready) {
      device.write(ids, idsOf(chunks));
      device.write(block_table, tableOf(chunks));
      inputs.forEach((tensors, step) => {
        const hosts = placesOf(chunks, step);
        for (const name of ["positions", "slots", "spans"] as const) {
          device.write(tensors[name], hosts[name]);
        }
      });
      const choosing = changes ? recording.launches - CHOOSING : 0;
      recording.replay({ to: choosing });
      // A graphics processor begins with the layers when something is written behind them.
      inputs.forEach(({ settings }, step) => device.write(settings, drawsOf(chunks, step)));
      let waits: readonly boolean[] = [];
      if (changes) {
        await ready();
        waits = chunks.map(({ sequence }) => waitsForGrammar(sequence));
        changes.write(chunks.map(({ sequence }) => changesOf(sequence)));
      }
      recording.replay({ from: choosing });
      const read = await Promise.all(recording.outputs.map((tokens) => device.read(tokens)));
      return chunks.map((_, i) => waits[i] ? undefined : read.map(({ data }) => data[i]!));
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** Where the tokens of a step stand, so many tokens further than the chunks say. */
function placesOf(chunks: readonly Chunk[], step: number) {
  const moved = chunks.map((chunk) => ({ ...chunk, start: chunk.start + step }));
  const { spans } = attendedBy(moved);
  return { positions: positionsOf(moved), slots: slotsOf(moved), spans };
}

/** How the tokens behind those of such a step are drawn. */
function drawsOf(chunks: readonly Chunk[], step: number): HostTensor {
  return settingsOf(chunks.map(({ sequence }) => sequence), { ahead: step });
}
