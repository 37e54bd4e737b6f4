import type { Device } from "../../kernels/device/device.ts";
import { PAGE_TOKENS } from "../../kernels/codes/kv_page.ts";
import { EngineError } from "../engine/engine.ts";
import { type MemoryPlan, planMemory } from "../engine/engine_sizes.ts";
import type { Model } from "../models/model.ts";

/** What decides how many sequences fit. */
export interface Load {
  /** Tokens of each prompt and of each answer. */
  readonly prompt: number;
  readonly output: number;
  readonly memoryBytes: number;
}

/** What `planMemory` looks at of a model. */
export type ModelSizes = Pick<Model, "config" | "record" | "sizes">;

/** What an engine takes for a batch whose sequences all run at once. */
export function planBatch(
  device: Device,
  model: ModelSizes,
  { prompt, output, memoryBytes }: Load,
  batch: number,
): MemoryPlan {
  const wishes = {
    context: prompt + output,
    sequences: batch,
    queueRequests: batch,
    queueTokens: batch * prompt,
  };
  return planMemory(device, model, { memoryBytes, wishes });
}

/**
 * The largest batch up to `most` whose sequences all have their pages from the first token to the
 * last, by the engine's own plan; an `EngineError` says why where there is none.
 */
export function largestBatch(
  device: Device,
  model: ModelSizes,
  load: Load,
  most: number,
): number {
  const each = pagesOf(load);
  const fits = (batch: number): boolean => {
    try {
      return planBatch(device, model, load, batch).sizes.pages >= batch * each;
    } catch (error) {
      if (error instanceof EngineError && batch > 1) return false;
      throw error;
    }
  };
  if (!fits(1)) return 0;
  let [fitting, failing] = [1, most + 1];
  while (failing - fitting > 1) {
    const middle = Math.floor((fitting + failing) / 2);
    if (fits(middle)) fitting = middle;
    else failing = middle;
  }
  return fitting;
}

/** Pages that a sequence has in the end. */
function pagesOf({ prompt, output }: Pick<Load, "prompt" | "output">): number {
  return Math.ceil((prompt + output) / PAGE_TOKENS);
}

/** Powers of 4 below the largest batch, and itself; of a list, those that fit. */
export function batchesUpTo(largest: number, asked: "auto" | readonly number[]): readonly number[] {
  if (asked !== "auto") {
    return [...new Set(asked)].filter((batch) => batch <= largest).sort((a, b) => a - b);
  }
  const batches: number[] = [];
  for (let batch = 1; batch < largest; batch *= 4) batches.push(batch);
  return [...batches, ...largest > 0 ? [largest] : []];
}
