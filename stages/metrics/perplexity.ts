import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { nll } from "../../kernels/mod.ts";
import { normalize, runLayer, startStream, type Stream } from "../models/decoder.ts";
import type { Model } from "../models/model.ts";
import { ropeAngles } from "../models/rope_angles.ts";

/** The protocol of GPTQ's perplexity: equal windows, no tail, fresh context, mean of window means. */
export const PROTOCOL =
  "windows, tail dropped, no token added, fresh context, mean of window means";

const LOGIT_BYTES = 2 ** 25;

/** How to walk over the windows. */
export interface WindowOptions {
  readonly context: number;
  /** Windows whose activations are kept at once, so that each layer is read once for all of them. */
  readonly group: number;
  readonly signal: AbortSignal;
  progress(done: number, total: number, note: string): void;
}

/**
 * Log-likelihoods in nats of every token but the first of each window, window after window.
 *
 * Goes a layer at a time over a group of windows; logits exist for some columns at a time only.
 */
export async function* logLikelihoods(
  device: Device,
  model: Model,
  tokens: Uint32Array,
  options: WindowOptions,
): AsyncGenerator<Float32Array> {
  const { context, group, signal } = options;
  const windows = Math.floor(tokens.length / context);
  const total = windows * (model.config.layers + 1);
  using angles = device.upload(ropeAngles(model.config, context));
  using positions = device.upload(u32([context], Array.from({ length: context }, (_, i) => i)));
  let done = 0;
  const step = async (fence: TensorRef, note: string) => {
    await settle(device, fence);
    signal.throwIfAborted();
    options.progress(++done, total, note);
  };
  for (let first = 0; first < windows; first += group) {
    const chosen = Array.from({ length: Math.min(group, windows - first) }, (_, i) => first + i);
    const ids = chosen.map((window) => tokens.subarray(window * context, (window + 1) * context));
    const streams = await embedAll(device, model, ids);
    try {
      for (let layer = 0; layer < model.config.layers; layer++) {
        const weights = await model.layer(layer);
        const window = model.config.windows[layer];
        for (const [i, stream] of streams.entries()) {
          const places = { positions, angles };
          streams[i] = runLayer(device, model.config, weights, { stream, places, window });
          await step(positions, `window ${chosen[i]! + 1} of ${windows}, layer ${layer + 1}`);
        }
        model.release(weights);
      }
      for (const [i, stream] of streams.entries()) {
        const scores = await score(device, model, stream, ids[i]!);
        await step(positions, `window ${chosen[i]! + 1} of ${windows}`);
        yield scores;
      }
    } finally {
      for (const stream of streams) stream[Symbol.dispose]();
    }
  }
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

async function score(
  device: Device,
  model: Model,
  stream: Stream,
  ids: Uint32Array,
): Promise<Float32Array> {
  const gain = await model.finalGain();
  using x: Tensor = normalize(device, stream, gain, model.config.normEps);
  model.release(gain);
  // The last position has no target; it is scored against token 0 and left out.
  using targets = device.upload(u32([ids.length], [...ids.subarray(1), 0]));
  using state = device.upload(f32([ids.length, 3]));
  const head = await model.head();
  const most = Math.max(64, Math.floor(LOGIT_BYTES / 4 / ids.length / 64) * 64);
  head.applyInPieces(device, x, most, (logits, column) => {
    device.run(nll, { logits, targets, state }, { column, first: column === 0 });
  });
  const { data } = await device.read(state);
  model.release(head);
  return Float32Array.from(
    { length: ids.length - 1 },
    (_, i) => data[3 * i + 2]! - data[3 * i]! - Math.log(data[3 * i + 1]!),
  );
}

/** Waits for the device, then lets timers and signals of the program have their turn. */
async function settle(device: Device, fence: TensorRef): Promise<void> {
  await device.read(fence);
  await new Promise((resolve) => setTimeout(resolve, 0));
}

/** Mean negative log-likelihood of each window, and the exponential of their mean. */
export function perplexity(windows: readonly Float32Array[]): {
  readonly perplexity: number;
  readonly windowMeans: readonly number[];
} {
  const windowMeans = windows.map((values) =>
    -values.reduce((sum, value) => sum + value, 0) / values.length
  );
  const mean = windowMeans.reduce((sum, value) => sum + value, 0) / windowMeans.length;
  return { perplexity: Math.exp(mean), windowMeans };
}
