import type { Device, TensorRef } from "../../kernels/device/device.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import { normalize, startStream, type Stream } from "../models/stream.ts";
import { openPlaces, settle } from "../models/places.ts";
import type { Model } from "../models/model.ts";
import type { EntryKeeper } from "../models/stream_entries.ts";
import { GroupStreams } from "./group_streams.ts";

/** Bytes of logits on the device at once. */
export const LOGIT_BYTES = 2 ** 25;

/** How to walk over the windows of a text. */
export interface WindowOptions {
  readonly context: number;
  /** Which windows to run, in this order; all unless said. */
  readonly windows?: readonly number[];
  /** Windows whose activations are kept at once, so that each layer is read once for all of them. */
  readonly group: number;
  /** Keeps the streams of larger groups behind every layer. */
  readonly journal?: EntryKeeper;
  readonly signal: AbortSignal;
  progress(done: number, total: number, note: string): void;
}

/** What a model made of a window of tokens. */
export interface WindowState {
  readonly window: number;
  readonly ids: Uint32Array;
  /** The normalized input of the head, f32 [context, hidden]; gone when the next window is asked for. */
  readonly hidden: TensorRef;
}

/** Runs a model over the windows of a text, a layer at a time over a group of windows. */
export async function* windowStates(
  device: Device,
  model: Model,
  tokens: Uint32Array,
  options: WindowOptions,
): AsyncGenerator<WindowState> {
  const { context, group, signal } = options;
  const count = Math.floor(tokens.length / context);
  const windows = options.windows ?? Array.from({ length: count }, (_, window) => window);
  const steps = model.config.layers + 1;
  const total = count * steps;
  using places = openPlaces(device, model.config, context);
  let done = total - windows.length * steps;
  const step = async (note: string) => {
    await settle(device, places);
    signal.throwIfAborted();
    options.progress(++done, total, note);
  };
  const shape = [context, model.config.hidden] as const;
  // A window alone is soon repeated.
  const kept = options.journal && group > 1
    ? new GroupStreams(device, options.journal, shape)
    : undefined;
  let begun = await kept?.restore(windows);
  done += (begun?.layer ?? 0) * (begun?.windows.length ?? 0);
  for (let left = windows; left.length > 0;) {
    const chosen = begun?.windows ?? left.slice(0, group);
    const from = begun?.layer ?? 0;
    left = left.filter((window) => !chosen.includes(window));
    const ids = chosen.map((window) => tokens.subarray(window * context, (window + 1) * context));
    const streams = begun?.streams ?? await embedAll(device, model, ids);
    begun = undefined;
    try {
      for (let layer = from; layer < model.config.layers; layer++) {
        const weights = await model.layer(layer);
        try {
          for (const [i, stream] of streams.entries()) {
            streams[i] = weights.run(device, { stream, places });
            await step(`window ${chosen[i]! + 1} of ${count}, layer ${layer + 1}`);
          }
        } finally {
          model.release(weights);
        }
        const next = layer + 1;
        if (next < model.config.layers) await kept?.keep({ windows: chosen, layer: next }, streams);
      }
      for (const [i, stream] of streams.entries()) {
        using hidden = await finish(device, model, stream);
        yield { window: chosen[i]!, ids: ids[i]!, hidden };
        await step(`window ${chosen[i]! + 1} of ${count}`);
      }
    } finally {
      for (const stream of streams) stream[Symbol.dispose]();
    }
  }
}

/** The token that follows each token, u32 [tokens]; 0 stands after the last one, which is not scored. */
export function nextTokens(ids: Uint32Array): Uint32Array {
  return Uint32Array.from(ids, (_, i) => ids[i + 1] ?? 0);
}

/** Columns of logits, a multiple of 64, that take at most `bytes` for as many tokens. */
export function columnsAtOnce(bytes: number, tokens: number): number {
  return Math.max(64, Math.floor(bytes / 4 / tokens / 64) * 64);
}

async function embedAll(
  device: Device,
  model: Model,
  windows: readonly Uint32Array[],
): Promise<Stream[]> {
  const embeddings = await model.embeddings();
  const streams = windows.map((ids) => {
    using tokens = device.upload(u32([ids.length], ids));
    return startStream(embeddings.embed(device, tokens));
  });
  model.release(embeddings);
  return streams;
}

async function finish(device: Device, model: Model, stream: Stream) {
  const gain = await model.finalGain();
  const hidden = normalize(device, stream, gain, model.config.normEps);
  model.release(gain);
  return hidden;
}
