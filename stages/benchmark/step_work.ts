import { PAGE_TOKENS, pagesFor } from "../../kernels/codes/kv_page.ts";
import type { Limits } from "../../kernels/device/limits.ts";
import { byteLength } from "../../kernels/device/tensor.ts";
import { GREEDY } from "../engine/engine.ts";
import { sinksOf } from "../engine/kv_pools.ts";
import { PagedModel } from "../engine/paged_model.ts";
import type { Chunk } from "../engine/scheduler.ts";
import { newSequence } from "../engine/sequence.ts";
import {
  type DeviceRates,
  type Given,
  type KernelWork,
  WorkCounter,
} from "../models/counted_work.ts";
import type { ModelFiles } from "../models/family.ts";
import { Model } from "../models/model.ts";
import { headersOf } from "../models/peaks.ts";

/** A device by its name, and what it gives at most. */
export interface Card extends DeviceRates {
  readonly name: string;
}

/** A step of the engine. */
export interface EngineStep {
  /** Sequences that run in it. */
  readonly batch: number;
  /** Tokens of each that it takes on: one in decode, a chunk of a prompt in prefill. */
  readonly queries: number;
  /** Tokens of each that are there behind it. */
  readonly keys: number;
}

/** The work of one step of the engine, kernel by kernel, planned for a device with these limits. */
export async function stepWork(
  files: ModelFiles,
  limits: Limits,
  step: EngineStep,
): Promise<readonly KernelWork[]> {
  await using device = new StepCounter(limits, step);
  using model = Model.of(device, headersOf(files), { weightBytes: Infinity });
  await model.loadWhole();
  using paged = new PagedModel(device, model, {
    pages: 1,
    context: step.keys,
    rows: step.batch,
  });
  device.taken();
  await paged.step(stepChunks(step, { pages: 1, sinks: sinksOf(files.record) }));
  return device.taken();
}

/** What the sequences of a step are given, in so many pages that they take in turns. */
export function stepChunks(
  { batch, queries, keys }: EngineStep,
  { pages, sinks }: { readonly pages: number; readonly sinks: number },
): Chunk[] {
  const prompt = Array<number>(keys).fill(0);
  const each = pagesFor(keys, sinks);
  return Array.from({ length: batch }, (_, at) => {
    const ask = { prompt, maxTokens: 1, sampling: GREEDY, stopTokens: [] };
    const sequence = newSequence(0, ask);
    sequence.pages.push(...Array.from({ length: each }, (_, page) => (at * each + page) % pages));
    return { sequence, start: keys - queries, count: queries, last: true, draft: [] };
  });
}

/** Counts what a step launches, of pools what it touches, of attention the keys in sight. */
class StepCounter extends WorkCounter {
  readonly #step: EngineStep;

  constructor(limits: Limits, step: EngineStep) {
    super(limits);
    this.#step = step;
  }

  protected override bytesOf(name: string, given: Given, made: Given): number {
    const { keys, batch } = this.#step;
    const written = Object.values(made).reduce((sum, spec) => sum + byteLength(spec!), 0);
    const read = Object.entries(given).reduce((sum, [input, spec]) => {
      if (!spec) return sum;
      const whole = byteLength(spec);
      const page = whole / Math.max(1, spec.shape[0]!);
      // A product of some columns writes those; what lies beside them is of others.
      if (name.startsWith("matmul") && input === "y") {
        return sum + Math.min(whole, 4 * spec.shape[0]! * given.weight!.shape[0]!);
      }
      if (name === "attentionPaged" && (input === "k" || input === "v")) {
        return sum + page * batch * keys / PAGE_TOKENS;
      }
      if (name === "ropeAppend" && (input === "keys" || input === "values")) {
        return sum + page * given.slots!.shape[0]! / PAGE_TOKENS;
      }
      if (name === "embed" && input === "embeddings") return sum + page * given.tokens!.shape[0]!;
      if (name === "attentionTurned" && input === "angles") return sum + page * keys;
      if (name === "ropeAppend" && input === "angles") {
        return sum + page * given.positions!.shape[0]!;
      }
      return sum + whole;
    }, 0);
    return written + read;
  }

  protected override operationsOf(name: string, given: Given, options: unknown): number {
    if (name !== "attentionPaged") return super.operationsOf(name, given, options);
    const { keys, batch } = this.#step;
    const [rows = 0, heads = 0, size = 0] = given.q!.shape;
    const queries = rows / batch;
    return 4 * heads * size * batch * queries * (keys - (queries - 1) / 2);
  }
}
