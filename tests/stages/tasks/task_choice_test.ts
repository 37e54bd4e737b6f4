import { strict as assert } from "node:assert";
import { taskChoices } from "../../../stages/tasks/task_choice.ts";

Deno.test("tasks are named with commas, in lists, or by what is otherwise", () => {
  const read = (given: unknown) => taskChoices.parse(given);
  assert.deepEqual(read("hellaswag, piqa"), [{ task: "hellaswag" }, { task: "piqa" }]);
  assert.deepEqual(read(["mmlu", { task: "gsm8k", shots: 8 }]), [
    { task: "mmlu" },
    { task: "gsm8k", shots: 8 },
  ]);
  assert.deepEqual(read("[{ task: piqa, data: piqa.parquet, limit: 20 }]"), [
    { task: "piqa", data: "piqa.parquet", limit: 20 },
  ]);
  for (const nothing of [undefined, "none", [], ""]) {
    if (nothing === "") assert.throws(() => read(nothing));
    else assert.equal(read(nothing), undefined);
  }
  assert.throws(() => read("[{ task: piqa, limits: 20 }]"), /Cannot read tasks/);
  assert.throws(() => read([{ task: "piqa", limit: 0 }]));
});
