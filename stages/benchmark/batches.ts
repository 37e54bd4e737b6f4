import { pagesFor } from "../../kernels/codes/kv_page.ts";
import { EngineError } from "../engine/engine.ts";
import type { EngineMemory } from "../engine/engine_memory.ts";
import { type MemoryPlan, planMemory } from "../engine/engine_sizes.ts";

/** What decides how many sequences fit. */
export interface Load {
  /** Tokens of each prompt and of each answer. */
  readonly prompt: number;
  readonly output: number;
  readonly memoryBytes: number;
}

/** What an engine takes for a batch whose sequences all run at once. */
export async function planBatch(
  memory: EngineMemory,
  { prompt, output, memoryBytes }: Load,
  batch: number,
): Promise<MemoryPlan> {
  const wishes = {
    context: prompt + output,
    sequences: batch,
    queueRequests: batch,
    queueTokens: batch * prompt,
  };
  return await planMemory(memory, { memoryBytes, wishes });
}

/**
 * The largest batch up to `most` whose sequences all have their pages from the first token to the
 * last, by the engine's own plan; an `EngineError` says why where there is none.
 */
export async function largestBatch(
  memory: EngineMemory,
  load: Load,
  most: number,
): Promise<number> {
  const each = pagesFor(load.prompt + load.output, memory.sinks);
  /** Sequences that have their pages beside a step of so many; 0 where none has. */
  const room = async (batch: number): Promise<number> => {
    try {
      const { weightBytes, workspaceBytes } = await planBatch(memory, load, batch);
      const left = load.memoryBytes - weightBytes - workspaceBytes;
      return Math.floor(memory.pagesWithin(left) / each);
    } catch (error) {
      if (error instanceof EngineError && batch > 1) return 0;
      throw error;
    }
  };
  // Beside a step of one sequence there is most room.
  const bound = Math.min(most, await room(1));
  let [fitting, failing, batch] = [Math.min(1, bound), bound + 1, bound];
  while (failing - fitting > 1) {
    const found = await room(batch);
    if (found >= batch) fitting = batch;
    else failing = batch;
    // Steps of nearly as many sequences leave room for nearly as many.
    const next = found > 0 ? found : Math.floor((fitting + failing) / 2);
    batch = Math.min(Math.max(next, fitting + 1), failing - 1);
  }
  return fitting;
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
