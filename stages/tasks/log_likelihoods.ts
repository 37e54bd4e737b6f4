import { setImmediate } from "node:timers/promises";
import type { Device, Tensor } from "../../kernels/device/device.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { embed, nll } from "../../kernels/mod.ts";
import type { Model } from "../models/model.ts";
import { openAngles } from "../models/places.ts";
import { normalize, startStream, type Stream } from "../models/stream.ts";
import type { PrefixTree } from "./prefix_tree.ts";
import { openTreeAttention } from "./tree_attention.ts";

/** Bytes of logits on the device at once. */
const LOGIT_BYTES = 2 ** 25;

/** What a model says of the targets of a tree, in their order. */
export interface TargetScores {
  readonly logLikelihoods: Float64Array;
  /** Whether no token is likelier. */
  readonly greedy: readonly boolean[];
}

/**
 * Scores trees, several of them a layer at a time; gives each one's scores as soon as it is through.
 * The weights stay on the device where the model is resident.
 */
export async function* scoreTrees(
  device: Device,
  model: Model,
  trees: readonly PrefixTree[],
  { signal, passed }: {
    readonly signal: AbortSignal;
    /** Told when a tree is through a layer. */
    passed?(layer: number): void;
  },
): AsyncGenerator<TargetScores> {
  using stack = new DisposableStack();
  const streams: Stream[] = [];
  try {
    const embeddings = await model.embeddings();
    const passes = trees.map((tree) => {
      using ids = device.upload(u32([tree.ids.length], tree.ids));
      streams.push(startStream(embeddings.embed(device, ids)));
      return {
        positions: stack.use(device.upload(u32([tree.positions.length], tree.positions))),
        attention: stack.use(openTreeAttention(device, tree)).attend,
        angles: stack.use(openAngles(device, model.config, tree.longest)).angles,
      };
    });
    model.release(embeddings);
    for (let layer = 0; layer < model.config.layers; layer++) {
      signal.throwIfAborted();
      const weights = await model.layer(layer);
      try {
        for (const [at, { attention, ...places }] of passes.entries()) {
          const stream = streams[at]!;
          streams[at] = weights.run(device, { stream, places, attention });
          if (!model.resident) await wait(device, places.positions);
          passed?.(layer);
        }
      } finally {
        model.release(weights);
      }
    }
    for (const tree of trees) {
      using stream = streams.shift()!;
      yield await scoresOf(device, model, stream, tree);
    }
  } finally {
    for (const stream of streams) stream[Symbol.dispose]();
  }
}

async function scoresOf(
  device: Device,
  model: Model,
  stream: Stream,
  { targets }: PrefixTree,
): Promise<TargetScores> {
  const norm = await model.finalNorm();
  using hidden = normalize(device, stream, norm);
  model.release(norm);
  const head = await model.head();
  const logLikelihoods = new Float64Array(targets.length);
  const greedy: boolean[] = [];
  const { vocabulary, hidden: width } = model.config;
  // All columns of some rows, or some of all: never all of both.
  const atOnce = Math.max(64, Math.floor(LOGIT_BYTES / 4 / Math.min(vocabulary, 4096)));
  for (let from = 0; from < targets.length; from += atOnce) {
    const part = targets.slice(from, from + atOnce);
    using rows = device.upload(u32([part.length], part.map(({ row }) => row)));
    using x = device.empty({ dtype: "f32", shape: [part.length, width] });
    device.run(embed, { tokens: rows, embeddings: hidden, y: x }, {});
    using wanted = device.upload(u32([part.length], part.map(({ token }) => token)));
    using state = device.upload(f32([part.length, 3]));
    const most = Math.max(64, Math.floor(LOGIT_BYTES / 4 / part.length / 64) * 64);
    head.applyInPieces(device, x, most, (logits, column) => {
      device.run(nll, { logits, targets: wanted, state }, { column, first: column === 0 });
    });
    const { data } = await device.read(state);
    for (let i = 0; i < part.length; i++) {
      const [largest = 0, sum = 0, own = 0] = data.subarray(3 * i, 3 * i + 3);
      logLikelihoods[from + i] = own - largest - Math.log(sum);
      greedy.push(own === largest);
    }
  }
  model.release(head);
  await setImmediate();
  return { logLikelihoods, greedy };
}

/** Waits for the device, so that nothing piles up on it. */
async function wait(device: Device, tensor: Tensor): Promise<void> {
  await device.read(tensor);
  await setImmediate();
}
