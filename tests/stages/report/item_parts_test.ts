import { strict as assert } from "node:assert";
import { describeReport } from "../../../stages/describe/report.ts";
import { estimateScore, pairedDifference, type Share } from "../../../stages/report/estimates.ts";
import { writeEvaluation } from "../../../stages/report/evaluation.ts";
import { itemParts } from "../../../stages/report/item_parts.ts";
import { pairedWindows } from "../../../stages/report/paired.ts";
import type { GroupResult, TaskResult, TaskResults } from "../../../stages/report/task_result.ts";
import { writeItemResults } from "../../../stages/tasks/item_results.ts";
import { evaluation } from "../../support/compared_models.ts";
import { withDirectory } from "../../support/directory.ts";

function task(name: string, items: number, more: Partial<TaskResult> = {}): TaskResult {
  const value = 0.5;
  const scores = [{ metric: "acc", value, higherIsBetter: true }];
  return { task: name, about: name, groups: [], items, shots: 0, digest: name, scores, ...more };
}

async function writeItems(
  directory: string,
  { task, scores: [score] }: TaskResult,
  shares: readonly Share[],
): Promise<void> {
  const { metric, filter } = score!;
  const key = filter === undefined ? metric : `${metric},${filter}`;
  const items = shares.map((share, index) => ({ index, at: `${index}`, shares: { [key]: share } }));
  await writeItemResults(directory, task, items);
}

const rights = (sums: readonly number[]): Share[] => sums.map((sum) => ({ sum, weight: 1 }));
const near = (found: number | undefined, wanted: number) =>
  assert.ok(Math.abs(found! - wanted) < 1e-12, `${found}, expected ${wanted}`);
const meanOf = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;

Deno.test("items count what they are in a mean, and move a perplexity by what makes its error", () =>
  withDirectory(async (directory) => {
    const plain = task("plain", 5);
    await writeItems(directory, plain, rights([1, 0, 1, 1, 0]));
    const results = { tasks: [plain], groups: [] };
    const values = await itemParts(directory, results, "plain").values();
    for (const [at, right] of [1, 0, 1, 1, 0].entries()) near(values![at], right);
    const score = { metric: "word_perplexity", filter: "none", value: 1, higherIsBetter: false };
    const words = task("words", 3, { scores: [score] });
    const [one, other] = [[-12, -20, -3], [-13, -20, -4]].map((sums) =>
      sums.map((sum, at) => ({ sum, weight: [3, 7, 1][at]! }))
    );
    const parts = [];
    for (const shares of [one!, other!]) {
      await writeItems(directory, words, shares);
      parts.push(await itemParts(directory, { tasks: [words], groups: [] }, "words").values());
    }
    near(meanOf(parts[0]!), Math.exp(35 / 11));
    const wanted = pairedDifference(
      estimateScore(one!, "perplexity"),
      estimateScore(other!, "perplexity"),
    );
    const { difference, error } = pairedWindows(parts[0]!, parts[1]!);
    near(difference, wanted.difference);
    near(error, wanted.error!);
  }));

Deno.test("a group's items make up its mean over items or tasks, and what was asked is told apart", () =>
  withDirectory(async (directory) => {
    const [a, b] = [["a", 2], ["b", 6]].map(([name, items]) =>
      task(String(name), Number(items), { groups: ["both"] })
    ) as [TaskResult, TaskResult];
    await writeItems(directory, a, rights([1, 0]));
    await writeItems(directory, b, rights([1, 1, 1, 0, 1, 1]));
    const score = { metric: "acc", value: 0, higherIsBetter: true };
    const of = (mean: GroupResult["mean"], tasks = [a, b]): TaskResults => ({
      tasks,
      groups: [{ group: "both", mean, tasks: 2, score }],
    });
    const told = async (results: TaskResults) =>
      await itemParts(directory, results, "both").values();
    near(meanOf((await told(of("items")))!), 6 / 8);
    near(meanOf((await told(of("tasks")))!), (1 / 2 + 5 / 6) / 2);
    // Their error is that of the mean of two independent means, but for the items' degrees of freedom.
    const values = (await told(of("tasks")))!;
    const squares = values.reduce((sum, value) => sum + (value - meanOf(values)) ** 2, 0);
    near(Math.sqrt(squares) / 8, Math.hypot(Math.sqrt(0.5) / 2, Math.sqrt(5 / 6) / 6) / 2);
    const name = (results: TaskResults) => itemParts(directory, results, "both").of;
    assert.notEqual(name(of("items")), name(of("tasks")));
    assert.notEqual(name(of("items")), name(of("items", [a, { ...b, digest: "other" }])));
    // Of other items than were scored, and of none, there is nothing to tell.
    assert.equal(await told(of("items", [a, { ...b, items: 7 }])), undefined);
    await Deno.remove(`${directory}/items-a.jsonl`);
    assert.equal(await told(of("items")), undefined);
  }));

Deno.test("figures of tasks are held against another model's item by item", () =>
  withDirectory(async (directory) => {
    // Of 100 items the first 60 are right; then 12 are lost and 3 won, or 3 and 3.
    const flipped = (lost: number, won: number) =>
      Array.from({ length: 100 }, (_, at) => Number(at < 60 ? at >= lost : at - 60 < won));
    const figureOf = async (name: string, sums: readonly number[], items = 100) => {
      const path = `${directory}/${name}`;
      await Deno.mkdir(path);
      const scores = [{ metric: "acc", value: meanOf(sums), error: 0.05, higherIsBetter: true }];
      const asked = task("arc", items, { scores });
      await writeItems(path, asked, rights(sums));
      await writeEvaluation(path, {
        ...evaluation({}, { perplexity: 2 }),
        tasks: { tasks: [asked], groups: [] },
      });
      const { figures = [] } = (await describeReport(path))!;
      return figures.find(({ name }) => name === "arc")!;
    };
    const before = await figureOf("before", flipped(0, 0));
    const values = (await before.parts!.values())!;
    const worse = await figureOf("worse", flipped(12, 3));
    assert.equal(worse.text, "51.00 % ± 5.00");
    assert.equal(worse.parts!.of, before.parts!.of);
    // By hand: 15 differences of one about a mean of -0.09, over 99 and 100.
    assert.equal(await worse.parts!.difference(values), "-9.00 points ± 3.79");
    const alike = await figureOf("alike", flipped(4, 3));
    assert.equal(
      await alike.parts!.difference(values),
      "-1.00 points ± 2.66, not distinguishable",
    );
    const few = await figureOf("few", [1, 1, 0], 3);
    assert.equal(
      await few.parts!.difference([1, 0, 1]),
      "0.00 points ± 57.74, 3 items tell no models apart",
    );
    await Deno.remove(`${directory}/alike/items-arc.jsonl`);
    assert.equal(await alike.parts!.difference(values), undefined);
  }));
