import { strict as assert } from "node:assert";
import { tasksOf } from "../../../../../stages/exchange/deepcompressor/recipe/task_names.ts";
import { findTasks } from "../../../../../stages/tasks/find_tasks.ts";
import { taskChoices } from "../../../../../stages/tasks/task_choice.ts";

/** What becomes of an `eval` section. */
function asked(evaluation: Partial<Parameters<typeof tasksOf>[0]["evaluation"]>) {
  const usual = { off: false, tasks: [], evaluators: ["gptq"], shots: undefined, length: -4096 };
  const section = undefined as never;
  return tasksOf({ evaluation: { section, ...usual, ...evaluation } });
}

Deno.test("an eval section's tasks are those of its evaluators, in DeepCompressor's order", async () => {
  assert.deepEqual(asked({ tasks: ["wikitext"] }), { value: "none" });
  assert.deepEqual(asked({ tasks: ["zero-shot", "WikiText"], evaluators: ["gptq", "lm_eval"] }), {
    value: "wikitext,zero_shot",
  });
  const both = asked({
    tasks: ["gsm8k", "hotpotqa", "samsum"],
    evaluators: ["lm_eval", "longbench"],
    shots: 5,
    length: 2048,
  });
  assert.equal(
    both.value,
    "[{ task: gsm8k, shots: 5, max_length: 2048 }, { task: longbench_hotpotqa, max_length: 2048 }, { task: longbench_samsum, max_length: 2048 }]",
  );
  const long = asked({ tasks: ["longbench", "dureader"], evaluators: ["longbench"] });
  assert.equal(long.value, "longbench_en");
  assert.match(long.comment!, /without counterpart here: dureader; the English tasks of LongBench/);
  for (const { value } of [both, long, asked({ tasks: ["zero-shot"], evaluators: ["lm_eval"] })]) {
    assert.ok((await findTasks(taskChoices.parse(value)!)).length > 0);
  }
});
