import type { Device } from "../../kernels/device/device.ts";
import { GREEDY } from "../engine/engine.ts";
import { EngineLoop } from "../engine/engine_loop.ts";
import type { EngineSizes } from "../engine/engine_sizes.ts";
import type { Model } from "../models/model.ts";
import { fillRandom, stateOf } from "./random_model.ts";

/** One batch from its prompts to its last tokens. */
export interface Round {
  /** From the first prompt to the last token. */
  readonly seconds: number;
  /** Until every sequence has its first token. */
  readonly prefillSeconds: number;
  readonly promptTokens: number;
  readonly generatedTokens: number;
  /** Tokens generated before every sequence had its first one. */
  readonly earlyTokens: number;
  readonly steps: number;
  /** Most pages in use. */
  readonly pages: number;
  /** How often a sequence had to give its pages back. */
  readonly preemptions: number;
}

/** What a round runs. */
export interface RoundWork {
  readonly batch: number;
  readonly prompt: number;
  readonly output: number;
  readonly seed: number;
  readonly sizes: EngineSizes;
  readonly signal?: AbortSignal;
  /** Told of tokens of prompts and answers that are done. */
  progress?(tokens: number): void;
}

/** Times a batch of random prompts in an engine made for it; no token ends an answer. */
export async function runRound(device: Device, model: Model, work: RoundWork): Promise<Round> {
  const { batch, output, sizes, signal } = work;
  using loop = new EngineLoop(device, model, sizes);
  const prompts = randomPrompts(work, model.config.vocabulary);
  const begun = new Set<number>();
  let [prefill, early, generated, pages] = [0, 0, 0, 0];
  const start = performance.now();
  prompts.forEach((prompt, id) => {
    loop.add(id, { prompt, maxTokens: output, sampling: GREEDY, stopTokens: [] });
  });
  while (!loop.idle) {
    signal?.throwIfAborted();
    const events = await loop.step();
    for (const [id, { type }] of events) {
      if (type !== "token") continue;
      generated++;
      begun.add(id);
    }
    if (prefill === 0 && begun.size === batch) {
      prefill = performance.now() - start;
      early = generated;
    }
    const { pages: { used }, promptTokens } = loop.stats;
    pages = Math.max(pages, used);
    work.progress?.(promptTokens + generated);
  }
  const seconds = (performance.now() - start) / 1000;
  const { steps, promptTokens, generatedTokens, preemptions } = loop.stats;
  return {
    seconds,
    prefillSeconds: prefill / 1000,
    promptTokens,
    generatedTokens,
    earlyTokens: early,
    steps,
    pages,
    preemptions,
  };
}

/** Prompts of ids that the seed decides, a different one for each sequence. */
function randomPrompts(
  { batch, prompt, seed }: Pick<RoundWork, "batch" | "prompt" | "seed">,
  vocabulary: number,
): readonly (readonly number[])[] {
  const words = new Uint32Array(prompt);
  return Array.from({ length: batch }, (_, sequence) => {
    fillRandom(words, stateOf(seed, sequence));
    return Array.from(words, (word) => word % vocabulary);
  });
}
