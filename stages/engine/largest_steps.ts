import type { Device } from "../../kernels/device/device.ts";
import type { Model } from "../models/model.ts";
import { type GenerationRequest, GREEDY } from "./engine.ts";
import { pagesOfLongest } from "./kv_batch.ts";
import { sinksOf } from "./kv_pools.ts";
import { LogitChanges } from "./logit_changes.ts";
import { PagedForward } from "./paged_forward.ts";
import { MOST_RECORDINGS, PagedModel, rowsAtOnce } from "./paged_model.ts";
import { recordSteps } from "./recorded_steps.ts";
import { type Chunk, mostDraws, type StepLimits } from "./scheduler.ts";
import { newSequence } from "./sequence.ts";

/** A device that tells what it holds. */
export type MeasuredDevice = Device & {
  readonly memory: { readonly held: number; readonly peak: number };
};

/** Which steps an engine may run. */
export interface StepWishes {
  readonly context: number;
  readonly step: StepLimits;
}

/** Likeliest tokens that are asked for with a score. */
const LIKELIEST = 20;

/**
 * Runs the steps that hold the most: a prefill of as many tokens as a step takes, each of which is
 * scored, and a decode of all sequences with scores and penalties. Gives the bytes that they and a page
 * took beside what was there.
 */
export async function runLargestSteps(
  device: MeasuredDevice,
  model: Model,
  { context, step: { tokens, sequences } }: StepWishes,
): Promise<number> {
  const before = device.memory.held;
  const { vocabulary } = model.config;
  const longest = Math.max(1, context - 1);
  const pages = pagesOfLongest(context, sinksOf(model.record));
  using paged = new PagedModel(device, model, { pages: 1, context, rows: sequences });
  const likeliest = Math.min(LIKELIEST, vocabulary);
  const prefill: Chunk[] = [];
  for (let left = tokens; left > 0; left -= longest) {
    const prompt = Array<number>(Math.min(left, longest)).fill(0);
    const request = { prompt, promptLogprobs: likeliest };
    prefill.push(chunkOf(request, { count: prompt.length, pages }));
  }
  await paged.step(prefill);
  const known = Math.min(longest, tokens, vocabulary);
  const sampling = { ...GREEDY, repetitionPenalty: 2 };
  const prompt = Array.from({ length: known }, (_, token) => token);
  const request = { prompt, sampling, logprobs: likeliest };
  const decode = chunkOf(request, { count: 1, pages });
  await paged.step(Array<Chunk>(sequences).fill(decode));
  return device.memory.peak - before;
}

/**
 * Puts decode steps of every number of sequences on record. Gives the bytes that recordings hold at
 * most: what they share, and what each has of its own, for as many as are kept.
 */
export async function recordEveryStep(
  device: MeasuredDevice,
  model: Model,
  { context, step }: StepWishes,
): Promise<number> {
  const { sequences, ahead = 1, drafts } = step;
  const most = Math.min(sequences, rowsAtOnce(model.config));
  using forward = new PagedForward(device, model, { pages: 1, context });
  const pages = pagesOfLongest(context, forward.sinks);
  const decode = chunkOf({ prompt: [0] }, { count: 1, pages });
  const record = (count: number, steps: number, changes?: LogitChanges) =>
    recordSteps(device, forward, {
      chunks: Array<Chunk>(count).fill(decode),
      steps,
      context,
      changes,
    });
  const before = device.memory.held;
  const rows = Math.min(mostDraws(step), rowsAtOnce(model.config));
  using changes = new LogitChanges(device, rows, model.config.vocabulary);
  using _largest = await record(most, ahead);
  const shared = device.memory.held;
  using _another = await record(most, ahead);
  const own = device.memory.held - shared;
  for (let count = 1; count < most; count++) {
    using _smaller = await record(count, 1);
    using _changed = await record(count, 1, changes);
  }
  using _changed = await record(most, 1, changes);
  // A row of each number of tokens that sequences have with their drafts, with penalties and without.
  const drafted = drafts ? 2 * drafts.sequences * drafts.sequences * drafts.tokens : 0;
  if (drafts && rows >= drafts.sequences * (1 + drafts.tokens)) {
    const draft = Array<number>(drafts.tokens).fill(0);
    const count = 1 + drafts.tokens;
    const chunks = Array<Chunk>(drafts.sequences).fill({ ...decode, count, draft });
    using _drafted = await recordSteps(device, forward, { chunks, steps: 1, context, changes });
  }
  const kept = Math.min(MOST_RECORDINGS, most * (2 + Math.floor(Math.log2(ahead))) + drafted);
  return device.memory.held - before + Math.max(0, kept - 3) * own;
}

/** The last tokens of a sequence whose pages are one. */
function chunkOf(
  request: Pick<GenerationRequest, "prompt"> & Partial<GenerationRequest>,
  { count, pages }: { readonly count: number; readonly pages: number },
): Chunk {
  const sequence = newSequence(0, { maxTokens: 1, sampling: GREEDY, stopTokens: [], ...request });
  sequence.pages.push(...Array<number>(pages).fill(0));
  return { sequence, start: sequence.tokens.length - count, count, last: true, draft: [] };
}
