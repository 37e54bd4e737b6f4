import type { Device, TensorRef } from "../../kernels/device/device.ts";
import type { Model } from "../models/model.ts";
import { openPlaces, settle } from "../models/places.ts";
import { normalize, type Stream } from "../models/stream.ts";
import type { EntryKeeper } from "../models/stream_entries.ts";
import { Walk } from "../models/walk.ts";

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
  const { context, group, signal, journal } = options;
  const count = Math.floor(tokens.length / context);
  const texts = Array.from(
    { length: count },
    (_, window) => tokens.subarray(window * context, (window + 1) * context),
  );
  const windows = options.windows ?? [...texts.keys()];
  const { layers } = model.config;
  const total = count * (layers + 1);
  using places = openPlaces(device, model.config, context);
  let done = total - windows.length * (layers + 1);
  const step = (window: number, more: string) => {
    signal.throwIfAborted();
    options.progress(++done, total, `window ${window + 1} of ${count}${more}`);
  };
  // A window alone is soon repeated.
  const kept = group > 1 ? journal : undefined;
  for (let left = windows; left.length > 0;) {
    const from = { windows: left, most: group, journal: kept, places };
    using walk = await Walk.open(device, model, texts, from);
    left = left.filter((window) => !walk.windows.includes(window));
    done += walk.layer * walk.windows.length;
    await walk.reach(layers, {
      passed: ({ layer, window }) => step(window, `, layer ${layer}`),
    });
    for (const window of walk.windows) {
      using stream = await walk.take(window);
      using hidden = await finish(device, model, stream);
      yield { window, ids: texts[window]!, hidden };
      await settle(device, places);
      step(window, "");
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

async function finish(device: Device, model: Model, stream: Stream) {
  const norm = await model.finalNorm();
  const hidden = normalize(device, stream, norm);
  model.release(norm);
  return hidden;
}
