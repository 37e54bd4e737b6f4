import { strict as assert } from "node:assert";
import { holdsToGolden } from "../../support/golden_tasks.ts";
import { StageChain } from "../../support/stage_chain.ts";
import { familyCases, familyTaskModel, goldenCases, taskModel } from "../../support/task_models.ts";

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
      if (golden.task !== task) continue;
      const model = await taskModel(await chain.directory(), golden.tokenizer);
      items += await holdsToGolden(chain, model, [golden]);
    }
    assert.ok(items >= 8, `${items} items`);
  });
}

Deno.test("models of every family answer all kinds of tasks as in lm-eval, item by item", async () => {
  await using chain = await StageChain.open();
  let items = 0;
  for (const [family, cases] of Object.entries(await familyCases())) {
    const model = await familyTaskModel(await chain.directory(), family, cases[0]!.tokenizer);
    items += await holdsToGolden(chain, model, cases).catch((cause) => {
      throw new Error(`${family}: ${cause.message}`, { cause });
    });
  }
  assert.ok(items > 400, `${items} items`);
});
