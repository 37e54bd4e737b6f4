import type { Device } from "../../kernels/device/device.ts";
import { answersWithin } from "../engine/likeliest_answers.ts";
import { EngineMemory } from "../engine/engine_memory.ts";
import { type MemoryPlan, planMemory, type SizeWishes } from "../engine/engine_sizes.ts";
import type { Model } from "../models/model.ts";
import { type Round, runRound } from "./throughput.ts";

/** What a model is tried with as it is to be served. */
export interface TrialWork {
  readonly wishes: SizeWishes;
  readonly memoryBytes: number;
  readonly prompts: readonly (readonly number[])[];
  /** Most tokens of an answer, and those that end one. */
  readonly tokens: number;
  /** Generates no more than so many, to count what that takes. */
  readonly few?: number;
  readonly ends: readonly number[];
  /** Tokens are drawn below it. */
  readonly choices: number;
  /** What is timed; nothing unless said. */
  readonly timed?: TimedBatch;
  readonly signal?: AbortSignal;
  /** Told of prompts that are answered and rounds that are run. */
  progress?(done: number): void;
}

/** A batch of random prompts. */
export interface TimedBatch {
  readonly prompt: number;
  readonly output: number;
  readonly sequences: number;
}

/** What a model did as it is to be served. */
export interface DeploymentTrial {
  readonly plan: MemoryPlan;
  readonly answers: readonly (readonly number[])[];
  /** The second of two rounds. */
  readonly round?: Round;
}

/** Rounds of a timed batch, of which the last counts. */
export const ROUNDS = 2;

/**
 * Loads a model once, answers prompts one by one, and times a batch.
 *
 * `open` gives the device without what was freed before, so that pages of other sizes are not kept.
 */
export async function tryDeployment(
  open: () => Promise<Device>,
  model: Model,
  { wishes, memoryBytes, prompts, tokens, ends, choices, timed, few = Infinity, signal, progress }:
    TrialWork,
): Promise<DeploymentTrial> {
  const device = await open();
  const plan = await planMemory(new EngineMemory(device.limits, model), { memoryBytes, wishes });
  const { sizes } = plan;
  refuseTooLong(prompts, { tokens, context: sizes.context });
  await model.loadWhole();
  const answers: (readonly number[])[] = [];
  for (const prompt of prompts) {
    // One at a time, so that what is held depends on no answer's length.
    const wished = { tokens: Math.min(tokens, few), choices, ends, ...signal && { signal } };
    const work = { device: await open(), model, prompts: [prompt] };
    answers.push(...await answersWithin(sizes, work, wished));
    progress?.(answers.length);
  }
  if (!timed) return { plan, answers };
  const { sequences: batch, prompt, output } = fitted(timed, sizes.context);
  let round: Round | undefined;
  for (let count = 0; count < ROUNDS; count++) {
    const work = {
      batch,
      prompt,
      output: Math.min(output, few),
      seed: 0,
      sizes,
      ...signal && { signal },
    };
    round = await runRound(await open(), model, work);
    progress?.(answers.length + count + 1);
  }
  return { plan, answers, round: round! };
}

/** A batch whose prompts and answers fit into a context. */
function fitted({ prompt, output, sequences }: TimedBatch, context: number): TimedBatch {
  const answer = Math.min(output, Math.max(2, Math.floor(context / 4)));
  return { prompt: Math.max(1, Math.min(prompt, context - answer)), output: answer, sequences };
}

function refuseTooLong(
  prompts: readonly (readonly number[])[],
  { tokens, context }: { readonly tokens: number; readonly context: number },
): void {
  const longest = Math.max(...prompts.map(({ length }) => length));
  if (longest + tokens <= context) return;
  throw new RangeError(
    `Cannot answer a prompt of ${longest} tokens with ${tokens} more: the context is ${context} tokens, expected room for both; raise context, lower answer_tokens or shorten the prompt`,
  );
}
