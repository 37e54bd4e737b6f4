import type { Device } from "../../kernels/device/device.ts";
import type { Stats } from "../calibration/stats.ts";
import type { DecoderConfig } from "../models/config.ts";
import type { ModelFiles } from "../models/family.ts";
import { streamShare, weightShare } from "../models/memory_shares.ts";
import type { EntryKeeper } from "../models/stream_entries.ts";
import { kurtosisLoss } from "./kurtosis.ts";
import { LayerStreams } from "./layer_streams.ts";
import type { LearnedRotations } from "./learned_rotations.ts";
import type { LearningParams } from "./learning_params.ts";
import { schemesOf } from "./settings.ts";
import { type LossAndGradients, TrainedNetwork } from "./trained_network.ts";

/** What rotations are learned from. */
export interface LearnerOptions {
  readonly files: ModelFiles;
  /** Of the text, for the network. */
  readonly windows: readonly Uint32Array[];
  /** On which rotations are compared, of the same length. */
  readonly held: readonly Uint32Array[];
  /** For kurtosis. */
  readonly stats: Stats | undefined;
  /** Where streams lie that do not fit on the host. */
  readonly keeper: EntryKeeper;
  readonly memoryBytes: number;
  readonly signal: AbortSignal;
  /** Told how many steps are done, with a part of the one at work. */
  passed?(steps: number): void;
}

/** Bytes of the streams that a step keeps, and whether they go to a keeper. */
export function stepStreams(
  { layers, hidden }: Pick<DecoderConfig, "layers" | "hidden">,
  { method, batch, context }: LearningParams,
  memoryBytes: number,
): { readonly bytes: number; readonly kept: boolean } {
  const bytes = method === "network" ? 4 * (layers + 1) * batch * (context - 1) * hidden : 0;
  return { bytes, kept: bytes > streamShare(memoryBytes) };
}

/** The loss that rotations are learned by, step after step. */
export class Learner implements Disposable {
  readonly #device: Device;
  readonly #options: LearnerOptions;
  readonly #params: LearningParams;
  readonly #network: TrainedNetwork;
  #step = 0;
  #passed = 0;
  #told = true;

  constructor(device: Device, options: LearnerOptions, params: LearningParams) {
    const { files, keeper, memoryBytes, signal, passed } = options;
    const { config } = files.architecture;
    const { kept } = stepStreams(config, params, memoryBytes);
    const parts = 2 * config.layers * params.batch;
    this.#device = device;
    this.#options = options;
    this.#params = params;
    this.#network = new TrainedNetwork(device, files, {
      schemes: schemesOf(params),
      weightBytes: weightShare(memoryBytes),
      streams: new LayerStreams(kept ? keeper : undefined),
      signal,
      passed: () => {
        if (this.#told) passed?.(this.#step + ++this.#passed / parts);
      },
    });
  }

  /** What rotations lose on the windows that are held, of which no part is told; for kurtosis on all there is. */
  async held(rotations: LearnedRotations): Promise<number> {
    const { files, held, stats } = this.#options;
    if (this.#params.method === "kurtosis") {
      return (await kurtosisLoss(this.#device, rotations, { files, stats: stats! })).loss;
    }
    this.#told = false;
    const { batch } = this.#params;
    let sum = 0;
    for (let at = 0; at < held.length; at += batch) {
      const some = held.slice(at, at + batch);
      sum += some.length * await this.#network.loss(rotations, some);
    }
    return sum / held.length;
  }

  /** What rotations lose on a step's part of the text, which begins anew where it ends. */
  async loss(rotations: LearnedRotations, step: number): Promise<LossAndGradients> {
    const { files, windows, stats, signal } = this.#options;
    signal.throwIfAborted();
    if (this.#params.method === "kurtosis") {
      return await kurtosisLoss(this.#device, rotations, { files, stats: stats! });
    }
    [this.#step, this.#passed, this.#told] = [step, 0, true];
    const { batch } = this.#params;
    const some = Array.from({ length: batch }, (_, i) => {
      return windows[(step * batch + i) % windows.length]!;
    });
    return await this.#network.gradients(rotations, some);
  }

  [Symbol.dispose](): void {
    this.#network[Symbol.dispose]();
  }
}
