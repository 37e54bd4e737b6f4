// Slow: MMLU's 282 development questions, of 57 subjects, each as lm-eval answers it.
import { strict as assert } from "node:assert";
import { holdsToGolden } from "../support/golden_tasks.ts";
import { StageChain } from "../support/stage_chain.ts";
import { goldenCases } from "../support/task_models.ts";

Deno.test("MMLU's development questions are answered as by lm-eval, item by item", async () => {
  await using chain = await StageChain.open();
  let items = 0;
  for (const golden of await goldenCases()) {
    if (golden.task.startsWith("mmlu_")) items += await holdsToGolden(chain, golden);
  }
  // Those of every subject once, and of one with five examples.
  assert.equal(items, 282 + 5);
});
