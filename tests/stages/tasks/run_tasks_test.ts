import { strict as assert } from "node:assert";
import { holdsToGolden } from "../../support/golden_tasks.ts";
import { StageChain } from "../../support/stage_chain.ts";
import { goldenCases } from "../../support/task_models.ts";

for (
  const task of [
    "hellaswag",
    "piqa",
    "winogrande",
    "arc_easy",
    "arc_challenge",
    "lambada_openai",
    "wikitext",
    "gsm8k",
    "edges",
  ]
) {
  Deno.test(`${task} answers and scores as lm-eval does, item by item`, async () => {
    await using chain = await StageChain.open();
    let items = 0;
    for (const golden of await goldenCases()) {
      if (golden.task === task) items += await holdsToGolden(chain, golden);
    }
    assert.ok(items >= 8, `${items} items`);
  });
}
