// Slow: two rows of each of LongBench's English tasks are answered, up to 512 tokens each.
import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { evaluate } from "../../stages/evaluate.ts";
import { readEvaluation } from "../../stages/report/evaluation.ts";
import { readItemResults } from "../../stages/tasks/item_results.ts";
import { LONGBENCH_ROWS, longBenchAnswers } from "../support/longbench_answers.ts";
import { StageChain } from "../support/stage_chain.ts";

Deno.test("LongBench's English tasks are answered and scored as by its own code with transformers", async () => {
  await using chain = await StageChain.open();
  const inputs = { model: chain.embedded(), tokens: await chain.tokens(64) };
  const made = await chain.run(evaluate, inputs, {
    context: 16,
    windows: 1,
    tasks: [{ task: "longbench_en", data: fileURLToPath(LONGBENCH_ROWS), max_length: 1024 }],
  });
  const { tasks, groups } = (await readEvaluation(made.path)).tasks!;
  const golden = await longBenchAnswers();
  assert.equal(tasks.length, 16);
  let sum = 0;
  for (const { task, scores: [score] } of tasks) {
    const { items, score: wanted } = golden[task.replace("longbench_", "")]!;
    const own = await readItemResults(made.path, task);
    for (const [at, item] of items.entries()) {
      assert.equal(own[at]!.text, item.text, `${task}, row ${at}`);
      const share = own[at]!.shares[score!.metric]!;
      assert.ok(Math.abs(share.sum - item.score) < 1e-12, `${task}, row ${at}: ${share.sum}`);
    }
    // LongBench rounds to two decimals of a percent.
    assert.ok(Math.abs(100 * score!.value - wanted) < 0.0051, `${task}: ${score!.value}`);
    sum += score!.value;
  }
  const [group] = groups;
  assert.deepEqual([group!.group, group!.mean, group!.tasks], ["longbench_en", "tasks", 16]);
  assert.ok(Math.abs(group!.score.value - sum / 16) < 1e-12);
});
