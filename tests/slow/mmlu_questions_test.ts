// Slow: MMLU's 282 development questions, of 57 subjects, each as lm-eval answers it.
import { strict as assert } from "node:assert";
import { holdsToGolden } from "../support/golden_tasks.ts";
import { StageChain } from "../support/stage_chain.ts";
import { goldenCases, taskModel } from "../support/task_models.ts";

Deno.test("MMLU's development questions are answered as by lm-eval, item by item", async () => {
  await using chain = await StageChain.open();
  const cases = (await goldenCases()).filter(({ task }) => task.startsWith("mmlu_"));
  const model = await taskModel(await chain.directory(), "plain");
  // Those of every subject once, and of one with five examples.
  const shown = cases.filter(({ shots }) => shots !== undefined);
  const plain = cases.filter(({ shots }) => shots === undefined);
  assert.equal(await holdsToGolden(chain, model, plain), 282);
  assert.equal(await holdsToGolden(chain, model, shown), 5);
});
