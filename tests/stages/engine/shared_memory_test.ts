import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { CPU_LIMITS } from "../../../kernels/device/limits.ts";
import { EngineMemory } from "../../../stages/engine/engine_memory.ts";
import { type MemoryPlan, planMemory, plannedBytes } from "../../../stages/engine/engine_sizes.ts";
import { shareMemory, type Sharer } from "../../../stages/engine/shared_memory.ts";
import { openModel } from "../../../stages/models/architecture.ts";
import { EMBEDDED } from "../../../stages/models/checkpoint_place.ts";

function sharedBytes(plans: readonly MemoryPlan[]): number {
  return plans.reduce((sum, plan) => sum + plannedBytes(plan), 0);
}

async function sharer(name: string, wishes: Sharer["wishes"] = {}): Promise<Sharer> {
  using files = await openModel(EMBEDDED);
  const memory = new EngineMemory(CPU_LIMITS, files);
  return { name, memory, wishes: { context: 256, sequences: 8, stepTokens: 64, ...wishes } };
}

Deno.test("models share memory: each has what it needs, pages take the rest, by what they could fill", async () => {
  const sharers = [await sharer("small"), await sharer("large", { context: 512 })];
  const alone = await Promise.all(
    sharers.map(({ memory, wishes }) => planMemory(memory, { memoryBytes: 1e9, wishes })),
  );
  const enough = await shareMemory(sharers, 1e9);
  deepStrictEqual(enough, alone);
  // In between: none has all of its pages, each has those of a sequence, and the budget holds.
  const needed = alone.reduce((sum, plan) => sum + plan.weightBytes + plan.workspaceBytes, 0);
  const budget = needed + Math.floor((sharedBytes(alone) - needed) / 2);
  const shared = await shareMemory(sharers, budget);
  ok(sharedBytes(shared) <= budget && sharedBytes(shared) > 0.9 * budget);
  for (const [at, plan] of shared.entries()) {
    const { sizes: { pages, context } } = plan;
    ok(pages < alone[at]!.sizes.pages && pages * 64 > context, `${pages}`);
    // What its worker plans with that much is the same.
    const { memory, wishes } = sharers[at]!;
    deepStrictEqual(await planMemory(memory, { memoryBytes: plannedBytes(plan), wishes }), plan);
  }
});

Deno.test("what does not fit together is refused with everybody's numbers", async () => {
  const sharers = [await sharer("one"), await sharer("two")];
  const [plan] = await shareMemory([sharers[0]!], 1e9);
  const one = plan!.weightBytes + plan!.workspaceBytes;
  // One fits, two do not.
  strictEqual((await shareMemory([sharers[0]!], 1.5 * one)).length, 1);
  await rejects(
    shareMemory(sharers, 1.5 * one),
    /^EngineError: Cannot serve 2 models in \d+ MB: "one" takes \d+ MB of weights, \d+ MB for a step and \d+ MB for its longest context; "two" takes .*, expected all of it to fit, \d+ MB; set --context/,
  );
});
