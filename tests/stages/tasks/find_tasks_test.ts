import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { findTasks } from "../../../stages/tasks/find_tasks.ts";
import { parseTaskFile } from "../../../stages/tasks/task_file.ts";

const FOLDER = fileURLToPath(new URL("../../../configs/tasks", import.meta.url));

Deno.test("every task is one small file that is found by its name", async () => {
  for await (const { name } of Deno.readDir(FOLDER)) {
    const text = await Deno.readTextFile(`${FOLDER}/${name}`);
    const file = parseTaskFile(text, name);
    assert.ok(text.split("\n").length - 1 <= 40, `${name} has more than 40 lines`);
    const found = await findTasks([{ task: name.replace(".yaml", "") }]);
    assert.ok(found.length > 0, name);
    if ("tasks" in file) assert.ok(found.length >= file.tasks.length, name);
  }
});

Deno.test("groups and values of a variable are tasks one by one, each once", async () => {
  const zero = await findTasks([{ task: "zero_shot" }, { task: "piqa" }]);
  assert.deepEqual(zero.map(({ name }) => name), [
    "wikitext",
    "hellaswag",
    "piqa",
    "winogrande",
    "arc_easy",
    "arc_challenge",
  ]);
  const mmlu = await findTasks([{ task: "mmlu", shots: 5, limit: 7 }]);
  assert.equal(mmlu.length, 57);
  const [anatomy] = await findTasks([{ task: "mmlu_anatomy" }]);
  assert.equal(anatomy!.rows("test").config, "anatomy");
  assert.deepEqual(anatomy!.variables, { subject: "anatomy" });
  const stem = await findTasks([{ task: "mmlu_stem" }]);
  assert.equal(stem.length, 19);
  assert.ok(stem.every(({ groups }) => groups.some(({ name }) => name === "mmlu_stem")));
  assert.deepEqual(mmlu[0]!.groups.map(({ name }) => name), ["mmlu", "mmlu_stem"]);
  assert.deepEqual([mmlu[0]!.shots, mmlu[0]!.limit, mmlu[0]!.seed], [5, 7, 1234]);
});

Deno.test("a file of one's own is a task, its data beside it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(
      `${folder}/own.yaml`,
      'about: Own.\noutput_type: loglikelihood\ndata: { place: own.jsonl }\ndoc_to_text: "{{ a }}"\ndoc_to_target: "{{ b }}"\nmetrics: [acc]\n',
    );
    const [own] = await findTasks([{ task: `${folder}/own.yaml` }]);
    assert.equal(own!.name, "own");
    assert.deepEqual(own!.rows("test"), {
      place: "own.jsonl",
      config: "default",
      split: "test",
      base: folder,
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a group of one's own names tasks beside it and those of the program", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const task =
      'about: Own.\noutput_type: loglikelihood\ndata: { place: own.jsonl }\ndoc_to_text: "{{ a }}"\ndoc_to_target: "{{ b }}"\nmetrics: [acc]\n';
    await Deno.writeTextFile(`${folder}/own.yaml`, task);
    const group = (tasks: string) => `about: Ours.\ntasks: [${tasks}]\nmean: tasks\n`;
    await Deno.writeTextFile(`${folder}/ours.yaml`, group("own.yaml, piqa, zero_shot"));
    await Deno.writeTextFile(`${folder}/round.yaml`, group("round.yaml"));
    const found = await findTasks([{ task: `${folder}/ours.yaml`, limit: 3 }]);
    assert.deepEqual(found.map(({ name }) => name), [
      "own",
      "piqa",
      "wikitext",
      "hellaswag",
      "winogrande",
      "arc_easy",
      "arc_challenge",
    ]);
    for (const { groups, limit } of found) {
      assert.deepEqual([groups, limit], [[{ name: "ours", mean: "tasks" }], 3]);
    }
    await assert.rejects(
      () => findTasks([{ task: `${folder}/round.yaml` }]),
      /Cannot use group "round\.yaml": it holds itself|Cannot use group ".*round\.yaml": it holds itself/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("what is no task is refused with what is wrong", async () => {
  await assert.rejects(
    () => findTasks([{ task: "hellaswagg" }]),
    /Cannot find task "hellaswagg": there is no such file, expected .*hellaswag/,
  );
  const refuses = (text: string, message: RegExp) =>
    assert.throws(() => parseTaskFile(text, "own.yaml"), message);
  const choice = "about: x\noutput_type: multiple_choice\ndata: { place: p }\ndoc_to_text: t\n";
  refuses("a: [", /it is no YAML/);
  refuses(`${choice}metrics: [acc]\n`, /there is no doc_to_choice, expected one/);
  refuses(`${choice}doc_to_choice: c\nmetrics: [perplexity]\n`, /metrics has perplexity, expected/);
  refuses(`${choice}doc_to_choice: c\nmetrics: [acc]\ncolour: red\n`, /colour/);
});
