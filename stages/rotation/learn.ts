import type { Device } from "../../kernels/device/device.ts";
import type { DecoderConfig } from "../models/config.ts";
import type { EntryKeeper } from "../models/stream_entries.ts";
import { hashOf } from "../quant/counter_hash.ts";
import { cayleyStep } from "./cayley.ts";
import {
  type LearnedRotations,
  type LearningState,
  readState,
  stateBytes,
} from "./learned_rotations.ts";
import type { LossAndGradients } from "./trained_network.ts";

/** One matrix in so many steps has its rows made orthogonal first. */
const RETRACTIONS = 101;
/** States take turns in so many entries, so that one is whole while another is written. */
const ENTRIES = 2;

/** How rotations are learned. */
export interface LearningOptions {
  readonly config: Pick<DecoderConfig, "hidden" | "headSize" | "layers">;
  readonly steps: number;
  /** Largest step of the first step; those behind it fall by half a cosine to 0. */
  readonly rate: number;
  /** Draws when rows are made orthogonal. */
  readonly seed?: number | undefined;
  /** Keeps the state behind every step, so that learning goes on from there. */
  readonly journal: EntryKeeper;
  /** What a step's part of the text loses, and by what; rotations without a gradient stay. */
  readonly learner: {
    loss(rotations: LearnedRotations, step: number): Promise<LossAndGradients>;
  };
  /** Told the loss before each step, when the step is done. */
  told?(step: number, loss: number): void;
}

/** Learns rotations from the first ones by descent on their manifold, or goes on with that. */
export async function learnRotations(
  device: Device,
  first: LearnedRotations,
  { steps, journal, learner, told, ...options }: LearningOptions,
): Promise<LearningState> {
  let state: LearningState = { losses: [], rotations: first };
  for (let entry = 0; entry < ENTRIES; entry++) {
    const kept = await journal.read(nameOf(entry));
    const found = kept && readState(kept, options.config);
    if (found && found.losses.length > state.losses.length) state = found;
  }
  while (state.losses.length < steps) {
    const step = state.losses.length;
    const { loss, gradients } = await learner.loss(state.rotations, step);
    const rate = options.rate * (1 + Math.cos(Math.PI * step / steps)) / 2;
    const rotations = await stepped(device, { ...state, gradients }, { ...options, rate, step });
    state = { losses: [...state.losses, loss], rotations };
    await journal.write(nameOf(step), stateBytes(state));
    told?.(step, loss);
  }
  return state;
}

function nameOf(step: number): string {
  return `state-${step % ENTRIES}`;
}

async function stepped(
  device: Device,
  { rotations, gradients }: LearningState & { readonly gradients: LearnedRotations },
  { config, seed = 0, rate, step }: Pick<LearningOptions, "config" | "seed" | "rate"> & {
    readonly step: number;
  },
): Promise<LearnedRotations> {
  const { residual } = rotations;
  const how = (size: number, at: number, gradient: Float32Array<ArrayBuffer>) => {
    const retract = hashOf(seed, step, at) % RETRACTIONS === 0;
    return { size, gradient, rate, retract };
  };
  const heads: Float32Array<ArrayBuffer>[] = [];
  for (const [layer, head] of rotations.heads.entries()) {
    const gradient = gradients.heads[layer];
    const own = gradient && how(config.headSize, layer + 1, gradient);
    heads.push(own ? await cayleyStep(device, head, own) : head);
  }
  return {
    residual: await cayleyStep(device, residual, how(config.hidden, 0, gradients.residual)),
    heads,
  };
}
