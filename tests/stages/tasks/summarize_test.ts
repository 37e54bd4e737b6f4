import { strict as assert } from "node:assert";
import { findTasks } from "../../../stages/tasks/find_tasks.ts";
import { prepareTasks } from "../../../stages/tasks/prepare_tasks.ts";
import type { ItemResult } from "../../../stages/tasks/item_results.ts";
import { groupResults, summarize, withFlips } from "../../../stages/tasks/summarize.ts";

/** Items that were right or wrong. */
function answered(right: readonly number[]): ItemResult[] {
  return right.map((sum, index) => ({
    index,
    at: `row ${index}`,
    prediction: sum,
    shares: { acc: { sum, weight: 1 }, acc_norm: { sum, weight: 1 } },
  }));
}

Deno.test("scores are told with paired differences and flips", async () => {
  const [prepared] = await prepareTasks([{ task: "story_endings", limit: 5 }]);
  const [own, other] = [answered([1, 0, 1, 1, 0]), answered([1, 1, 1, 0, 1])];
  const { scores: [score] } = summarize(prepared!, own, other);
  assert.equal(score!.value, 0.6);
  assert.ok(Math.abs(score!.error! - 0.2449489742783178) < 1e-12);
  // Differences 0, -1, 0, 1, -1: their mean is -0.2, their deviation sqrt(0.7).
  assert.ok(Math.abs(score!.paired!.difference + 0.2) < 1e-12);
  assert.ok(Math.abs(score!.paired!.error! - Math.sqrt(0.7 / 5)) < 1e-12);
  assert.deepEqual([score!.paired!.lost, score!.paired!.won], [2, 1]);
  const flips = withFlips(prepared!, own, other).map(({ flip }) => flip ?? "");
  assert.deepEqual(flips, ["", "lost", "", "won", "lost"]);
  assert.equal(summarize(prepared!, own, undefined).scores[0]!.paired, undefined);
});

Deno.test("groups have the mean of all items with lm-eval's pooled error, or that of tasks", async () => {
  const tasks = (await findTasks([{ task: "mmlu_stem" }])).slice(0, 2);
  const prepared = tasks.map((task) => ({ task, items: [], digest: "" }));
  const result = (task: string, items: number, value: number, error: number) => ({
    task,
    about: "",
    groups: ["mmlu_stem"],
    items,
    shots: 0,
    digest: "",
    scores: [{ metric: "acc", value, error, higherIsBetter: true }],
  });
  const results = tasks.map(({ name }, at) =>
    result(name, at === 0 ? 10 : 30, at === 0 ? 0.5 : 0.7, at === 0 ? 0.16 : 0.08)
  );
  const [group] = groupResults(prepared, results).filter(({ group }) => group === "mmlu_stem");
  assert.ok(Math.abs(group!.score.value - 0.65) < 1e-12);
  // lm_eval.api.metrics.pooled_sample_stderr([0.16, 0.08], [10, 30])
  const pooled = Math.sqrt((9 * 0.16 ** 2 * 10 + 29 * 0.08 ** 2 * 30) / 38 / 40);
  assert.ok(Math.abs(group!.score.error! - pooled) < 1e-12);
});
