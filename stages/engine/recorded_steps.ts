import type { Device, HostTensor, Tensor } from "../../kernels/device/device.ts";
import { PAGE_TOKENS } from "../../kernels/codes/kv_page.ts";
import { sample } from "../../kernels/mod.ts";
import { attendedBy, idsOf, pagesOfLongest, positionsOf, slotsOf, tableOf } from "./kv_batch.ts";
import type { PagedForward } from "./paged_forward.ts";
import { settingsOf } from "./sampling.ts";
import type { Chunk } from "./scheduler.ts";

/** Decode steps of so many sequences, put on record to be run again and again. */
export interface RecordedSteps extends Disposable {
  /** Runs the steps for one-token chunks; the tokens of each chunk, one a step. */
  run(chunks: readonly Chunk[]): Promise<readonly (readonly number[])[]>;
}

/**
 * Puts `steps` decode steps on record for as many sequences as there are chunks, each of one token. Each step's
 * tokens are the next one's input, and the host waits once; of the host's data only what differs is
 * written anew. Weights and pages must stay on the device; `context` is the longest sequence.
 */
export async function recordSteps(
  device: Device,
  forward: PagedForward,
  { chunks, steps, context, drawn = {} }: {
    readonly chunks: readonly Chunk[];
    readonly steps: number;
    readonly context: number;
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
    const { positions, slots, spans, settings } = stepInputs(chunks, step);
    return {
      positions: held(positions),
      slots: held(slots),
      spans: held(spans),
      settings: held(settings),
    };
  });
  const recording = stack.use(
    await device.record(async () => {
      const tokens: Tensor[] = [];
      for (const { settings, ...places } of inputs) {
        const from = tokens.at(-1) ?? ids;
        const batch = { ...places, work, block_table, queries: 1, keys };
        using hidden = await forward.hidden(from, batch);
        using logits = await forward.logits(hidden);
        tokens.push(device.run(sample, { logits, settings }, drawn).tokens);
      }
      return tokens;
    }),
  );
  const owned = stack.move();
  return {
    async run(chunks) {
      device.write(ids, idsOf(chunks));
      device.write(block_table, tableOf(chunks));
      inputs.forEach((tensors, step) => {
        const hosts = stepInputs(chunks, step);
        for (const name of ["positions", "slots", "spans", "settings"] as const) {
          device.write(tensors[name], hosts[name]);
        }
      });
      recording.replay();
      const read = await Promise.all(recording.outputs.map((tokens) => device.read(tokens)));
      return chunks.map((_, i) => read.map(({ data }) => data[i]!));
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** What differs from step to step, so many tokens further than the chunks say. */
function stepInputs(chunks: readonly Chunk[], step: number) {
  const moved = chunks.map((chunk) => ({ ...chunk, start: chunk.start + step }));
  const settings = settingsOf(chunks.map(({ sequence }) => sequence), { ahead: step });
  const { spans } = attendedBy(moved);
  return { positions: positionsOf(moved), slots: slotsOf(moved), spans, settings };
}
