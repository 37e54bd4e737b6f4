import { strict as assert } from "node:assert";
import { evaluate } from "../../stages/evaluate.ts";
import { readEvaluation } from "../../stages/report/evaluation.ts";
import type { Artifact } from "../../pipeline/artifact.ts";
import type { TaskResult } from "../../stages/report/task_result.ts";
import { type ItemResult, readItemResults } from "../../stages/tasks/item_results.ts";
import type { ChainJob, StageChain } from "./stage_chain.ts";
import { type GoldenCase, mmluLines, rowsOf } from "./task_models.ts";

const EDGES = `about: Contexts and choices at the edge of what there is.
output_type: multiple_choice
data: { place: none }
doc_to_text: "{{ context }}"
doc_to_choice: "{{ choices }}"
doc_to_target: "{{ answer }}"
target_delimiter: ""
metrics: [acc, acc_norm, acc_bytes, exact_match]
`;

/** A task that is generated, of the rows of lambada: the last letter of an answer. */
const SAID = `about: What is said next.
output_type: generate_until
data: { place: none }
doc_to_text: "{{ text }}"
doc_to_target: "{{ text[0] }}"
generation: { until: ["e", ".."], max_tokens: 24 }
filters: { last: { regex: "[A-Za-z]", take: last } }
exact_match: { ignore_case: true }
metrics: [exact_match]
`;

/** Tasks of cases that are none of the program's, and whose rows they ask. */
const OWN: Readonly<Record<string, { readonly text: string; readonly rows: string }>> = {
  edges: { text: EDGES, rows: "edges" },
  said: { text: SAID, rows: "lambada_openai" },
};

/** A case as `evaluate` is asked for it. */
async function asked(chain: StageChain, { task, maxLength, shots, limit }: GoldenCase) {
  const own = OWN[task];
  const data = task.startsWith("mmlu_")
    ? await subjectRows(chain, task.slice("mmlu_".length))
    : Object.fromEntries(
      ["train", "validation", "test"].map((split) => [split, rowsOf(own?.rows ?? task, split)]),
    );
  if (task === "gsm8k") Object.assign(data, { train: rowsOf("gsm8k", "test") });
  const path = `${await chain.directory()}/${task}.yaml`;
  if (own) await Deno.writeTextFile(path, own.text);
  return {
    task: own ? path : task,
    data,
    max_length: maxLength,
    ...shots === undefined ? {} : { shots },
    ...limit === undefined ? {} : { limit },
  };
}

async function subjectRows(chain: StageChain, subject: string) {
  const lines = (await mmluLines()).filter((line) => JSON.parse(line).subject === subject);
  const path = `${await chain.directory()}/${subject}.jsonl`;
  await Deno.writeTextFile(path, lines.map((line) => `${line}\n`).join(""));
  return { test: path, dev: path };
}

/**
 * Asserts that a model answers cases, each task once, and scores them as lm-eval has it; gives how many
 * items there were.
 */
export async function holdsToGolden(
  chain: StageChain,
  model: Artifact,
  cases: readonly GoldenCase[],
  job: ChainJob = {},
): Promise<number> {
  const tasks = [];
  for (const golden of cases) tasks.push(await asked(chain, golden));
  const tokens = await chain.tokens(64);
  const params = { context: 16, windows: 1, tasks };
  const made = await chain.run(evaluate, { model, tokens }, params, job);
  const { tasks: results } = (await readEvaluation(made.path)).tasks!;
  let items = 0;
  for (const [at, golden] of cases.entries()) {
    items += holds(golden, results[at]!, await readItemResults(made.path, golden.task));
  }
  return items;
}

function holds(golden: GoldenCase, result: TaskResult, items: readonly ItemResult[]): number {
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
