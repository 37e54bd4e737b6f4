import type { Device } from "../../kernels/device/device.ts";
import type { Model } from "../models/model.ts";
import { GREEDY } from "./engine.ts";
import { EngineLoop } from "./engine_loop.ts";
import { EngineMemory } from "./engine_memory.ts";
import { type EngineSizes, planMemory } from "./engine_sizes.ts";

/** How `likeliestAnswers()` goes on. */
export interface AnswerWishes {
  /** Most tokens of an answer. */
  readonly tokens: number;
  /** Tokens are drawn below it. */
  readonly choices: number;
  /** Tokens that end an answer; each is its last token. */
  readonly ends?: readonly number[];
  readonly signal?: AbortSignal;
}

/** The likeliest tokens behind each of some prompts, in an engine made for them; loads the model. */
export async function likeliestAnswers(
  device: Device,
  model: Model,
  prompts: readonly (readonly number[])[],
  { context, memoryBytes, ...wishes }: AnswerWishes & {
    /** Longest prompt and what is written behind it. */
    readonly context: number;
    readonly memoryBytes: number;
  },
): Promise<readonly (readonly number[])[]> {
  const memory = new EngineMemory(device.limits, model);
  const { sizes } = await planMemory(memory, { memoryBytes, wishes: { context } });
  await model.loadWhole();
  return await answersWithin(sizes, { device, model, prompts }, wishes);
}

/** The same of a model that is loaded, in an engine of these sizes. */
export async function answersWithin(
  sizes: EngineSizes,
  { device, model, prompts }: {
    readonly device: Device;
    readonly model: Model;
    readonly prompts: readonly (readonly number[])[];
  },
  { tokens, choices, ends = [], signal }: AnswerWishes,
): Promise<readonly (readonly number[])[]> {
  using loop = new EngineLoop(device, model, sizes, { choices });
  const written: number[][] = prompts.map(() => []);
  for (const [id, prompt] of prompts.entries()) {
    loop.add(id, { prompt, maxTokens: tokens, sampling: GREEDY, stopTokens: ends });
  }
  while (!loop.idle) {
    signal?.throwIfAborted();
    for (const [id, event] of await loop.step()) {
      if (event.type === "token") written[id]!.push(event.token);
    }
  }
  return written;
}
