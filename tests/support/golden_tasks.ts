import { strict as assert } from "node:assert";
import { evaluate } from "../../stages/evaluate.ts";
import { readEvaluation } from "../../stages/report/evaluation.ts";
import { readItemResults } from "../../stages/tasks/item_results.ts";
import type { StageChain } from "./stage_chain.ts";
import { type GoldenCase, mmluLines, rowsOf, writeTaskModel } from "./task_models.ts";

const EDGES = `about: Contexts and choices at the edge of what there is.
output_type: multiple_choice
data: { place: none }
doc_to_text: "{{ context }}"
doc_to_choice: "{{ choices }}"
doc_to_target: "{{ answer }}"
target_delimiter: ""
metrics: [acc, acc_norm, acc_bytes, exact_match]
`;

/** Runs a case as lm-eval did. */
async function run(chain: StageChain, { task, tokenizer, maxLength, shots, limit }: GoldenCase) {
  const path = await chain.directory();
  await writeTaskModel(path, tokenizer);
  const model = { kind: "model", key: path, digest: path, path, scores: {} } as const;
  const tokens = await chain.tokens(64);
  const own = `${await chain.directory()}/edges.yaml`;
  await Deno.writeTextFile(own, EDGES);
  const data = task.startsWith("mmlu_")
    ? await subjectRows(chain, task.slice("mmlu_".length))
    : Object.fromEntries(
      ["train", "validation", "test"].map((split) => [split, rowsOf(task, split)]),
    );
  if (task === "gsm8k") Object.assign(data, { train: rowsOf("gsm8k", "test") });
  const asked = {
    task: task === "edges" ? own : task,
    data,
    max_length: maxLength,
    ...shots === undefined ? {} : { shots },
    ...limit === undefined ? {} : { limit },
  };
  const made = await chain.run(evaluate, { model, tokens }, {
    context: 16,
    windows: 1,
    tasks: [asked],
  });
  const { tasks } = await readEvaluation(made.path);
  return { result: tasks!.tasks[0]!, items: await readItemResults(made.path, task) };
}

async function subjectRows(chain: StageChain, subject: string) {
  const lines = (await mmluLines()).filter((line) => JSON.parse(line).subject === subject);
  const path = `${await chain.directory()}/${subject}.jsonl`;
  await Deno.writeTextFile(path, lines.map((line) => `${line}\n`).join(""));
  return { test: path, dev: path };
}

/** Asserts that answers and scores are lm-eval's; gives how many items there were. */
export async function holdsToGolden(chain: StageChain, golden: GoldenCase): Promise<number> {
  const { result, items } = await run(chain, golden);
  const name = `${golden.task} ${golden.tokenizer} ${golden.maxLength} ${golden.shots ?? ""}`;
  assert.equal(items.length, golden.items.length, name);
  golden.items.forEach((wanted, at) => {
    const found = items[at]!;
    const place = `${name}, item ${at}`;
    wanted.logLikelihoods?.forEach((value, choice) => {
      const own = found.logLikelihoods![choice]!;
      assert.ok(Math.abs(own - value) <= 1e-3, `${place}: ${own}, lm-eval has ${value}`);
    });
    if (wanted.greedy) assert.deepEqual(found.greedy, wanted.greedy, place);
    for (const [metric, value] of Object.entries(wanted.scores ?? {})) {
      if (found.shares[metric]) {
        assert.equal(found.shares[metric].sum, value, `${place}, ${metric}`);
      }
    }
    if (wanted.text !== undefined) assert.equal(found.text, wanted.text, place);
    for (const [filter, [, right]] of Object.entries(wanted.taken ?? {})) {
      const key = `exact_match,${filter.replace("-", "_")}`;
      assert.equal(found.shares[key]!.sum, right, `${place}, ${filter}`);
    }
  });
  for (const { metric, filter, value } of result.scores) {
    const key = `${metric},${filter?.replace("_", "-") ?? "none"}`;
    const wanted = golden.results[key];
    if (wanted === undefined) continue;
    assert.ok(
      Math.abs(value / wanted - 1) < 1e-4 || value === wanted,
      `${name}, ${key}: ${value}, ${wanted}`,
    );
  }
  return items.length;
}
