import { strict as assert } from "node:assert";
import { compare } from "../../stages/compare.ts";
import { describeReport } from "../../stages/describe/report.ts";
import { evaluate } from "../../stages/evaluate.ts";
import { quantize } from "../../stages/quantize.ts";
import { readEvaluation } from "../../stages/report/evaluation.ts";
import { readItemResults } from "../../stages/tasks/item_results.ts";
import type { Journal } from "../../pipeline/stage.ts";
import { forgetful } from "../support/journal_stub.ts";
import { StageChain } from "../support/stage_chain.ts";

const FEW = { context: 32, windows: 1 };
const TASKS = [{ task: "stories", limit: 12 }];

Deno.test("tasks stand beside perplexity, against the baseline item by item, and compare and the report tell them", async () => {
  await using chain = await StageChain.open();
  const source = chain.embedded();
  const tokens = await chain.tokens(64);
  const w3 = await chain.run(quantize, { model: source }, {
    method: "rtn",
    weights: { bits: 3, zero: "post_scale", group: "row" },
  });
  const full = await chain.run(evaluate, { model: source, tokens }, {
    ...FEW,
    tasks: TASKS,
    keep_hidden: true,
  });
  const worse = await chain.run(
    evaluate,
    { model: w3, tokens, baseline: full, baseline_model: source },
    { ...FEW, tasks: TASKS },
  );
  const { tasks } = await readEvaluation(worse.path);
  assert.deepEqual(tasks!.tasks.map(({ task }) => task), [
    "story_endings",
    "story_holders",
    "story_last_words",
  ]);
  const before = await readItemResults(full.path, "story_holders");
  const items = await readItemResults(worse.path, "story_holders");
  const right = (all: typeof items) => all.map(({ shares }) => shares.acc!.sum);
  const lost = right(items).filter((sum, at) => sum < right(before)[at]!).length;
  const won = right(items).filter((sum, at) => sum > right(before)[at]!).length;
  const holders = tasks!.tasks[1]!;
  assert.ok(lost > 0, "three bits a row forget who has it");
  assert.deepEqual([holders.scores[0]!.paired!.lost, holders.scores[0]!.paired!.won], [lost, won]);
  assert.equal(items.filter(({ flip }) => flip === "lost").length, lost);
  assert.ok(
    Math.abs(holders.scores[0]!.paired!.difference - (won - lost) / 12) < 1e-12,
  );
  const [group] = tasks!.groups;
  assert.equal(group!.group, "stories");
  const mean = tasks!.tasks.reduce((sum, { scores }) => sum + scores[0]!.value, 0) / 3;
  assert.ok(Math.abs(group!.score.value - mean) < 1e-12);

  const made = await chain.run(compare, { reports: [full, worse] }, { labels: ["full", "RTN"] });
  const table = await Deno.readTextFile(`${made.path}/report.md`);
  assert.match(table, /Perplexity \|.*\| stories \|/);
  assert.match(table, /\| story_holders \| full \| acc \| [\d.]+ % ± [\d.]+ \| {2}\| {2}\| 12 \|/);
  assert.match(table, new RegExp(`RTN \\| acc \\| .* \\| ${lost} lost, ${won} won \\| 12 \\|`));
  const described = await describeReport(worse.path);
  const titles = described!.sections.map(({ title }) => title);
  assert.ok(titles.includes("Tasks") && titles.includes("Flipped items of story_holders"));

  await chain.refuses(evaluate, {
    inputs: { model: w3, tokens, baseline: full, baseline_model: source },
    params: { ...FEW, tasks: [{ task: "stories", limit: 13 }] },
    message: /Cannot compare task "story_endings" with the baseline's report: it was asked other/,
  });
  await chain.refuses(evaluate, {
    inputs: { model: w3, tokens },
    params: { ...FEW, tasks: [{ task: "stories", max_length: 4096 }] },
    message: /Cannot take windows of 4096 tokens: the model was made for 2048/,
  });
  await chain.refuses(evaluate, {
    inputs: { model: w3, tokens, baseline: full, baseline_model: source },
    params: { ...FEW, tasks: "hellaswag_of_no_one" },
    message: /Cannot find task "hellaswag_of_no_one"/,
  });
});

Deno.test("rows that do not fit are refused before any work", async () => {
  await using chain = await StageChain.open();
  const folder = await chain.directory();
  await Deno.writeTextFile(
    `${folder}/piqa.jsonl`,
    '{"goal":"a","sol1":"b","sol2":"c","label":0}\n{"goal":"a","sol1":"b","label":1}\n',
  );
  const notes = chain.notes.length;
  const left = await chain.refuses(evaluate, {
    inputs: { model: chain.embedded(), tokens: await chain.tokens(64) },
    params: { ...FEW, tasks: [{ task: "piqa", data: `${folder}/piqa.jsonl` }] },
    message: /Cannot make doc_to_choice of .*piqa\.jsonl:2: .*'sol2' is undefined/,
  });
  assert.deepEqual([left, chain.notes.length], [[], notes]);
});

Deno.test("tasks go on where they were stopped, at any item, and give the same bytes", async () => {
  await using chain = await StageChain.open();
  const folder = await chain.directory();
  const own = `${folder}/last.yaml`;
  await Deno.writeTextFile(
    own,
    'about: x\noutput_type: generate_until\ndata: { place: "generated:story_last_words" }\n' +
      "doc_to_text: \"{{ text.split(' ')[:-1] | join(' ') }}\"\ndoc_to_target: \"{{ text.split(' ')[-1] }}\"\n" +
      'generation: { until: ["."], max_tokens: 6 }\nmetrics: [exact_match]\n',
  );
  const inputs = { model: chain.embedded(), tokens: await chain.tokens(64) };
  const tasks = [{ task: "story_holders", limit: 14 }, { task: own, limit: 5 }];
  const params = { ...FEW, tasks };
  const bytesOf = async ({ path }: { readonly path: string }) => {
    const names = [...Deno.readDirSync(path)].map(({ name }) => name).sort();
    return await Promise.all(
      names.map(async (name) => [name, await Deno.readFile(`${path}/${name}`)]),
    );
  };
  const whole = await bytesOf(await chain.run(evaluate, inputs, params));
  const entries = new Map<string, Uint8Array<ArrayBuffer>>();
  /** A journal that takes so many entries more, and then no further one. */
  const journal = (most: number): Journal => ({
    ...forgetful,
    read: (name) => Promise.resolve(entries.get(name)),
    write: (name, bytes) => {
      if (most-- === 0) return Promise.reject(new Error("killed"));
      entries.set(name, Uint8Array.from(bytes));
      return Promise.resolve();
    },
  });
  // A window, two batches of choices and five answers, one more each time.
  for (let kills = 0;; kills++) {
    const made = await chain.run(evaluate, inputs, params, { journal: journal(1) })
      .catch(({ message }: Error) => assert.equal(message, "killed"));
    if (!made) continue;
    assert.ok(kills >= 6, `${kills} times`);
    assert.ok([...entries.keys()].some((name) => name === "task-last-answer-4"));
    assert.deepEqual(await bytesOf(made), whole);
    break;
  }
});

Deno.test("what tasks ask is in the key by rows and definition, not by places", async () => {
  const fingerprint = async (tasks: unknown) =>
    await evaluate.fingerprint!(evaluate.params.parse({ ...FEW, tasks }), {
      digest: (path) => Deno.readTextFile(path),
    });
  assert.equal(await fingerprint("none"), undefined);
  const folder = await Deno.makeTempDir();
  try {
    const row = '{"goal":"a","sol1":"b","sol2":"c","label":0}\n';
    for (const name of ["one", "two"]) await Deno.writeTextFile(`${folder}/${name}.jsonl`, row);
    const of = (name: string, more = {}) =>
      fingerprint([{ task: "piqa", data: `${folder}/${name}.jsonl`, ...more }]);
    assert.deepEqual(await of("one"), await of("two"));
    assert.notDeepEqual(await of("one"), await of("one", { limit: 1 }));
    await Deno.writeTextFile(`${folder}/two.jsonl`, row + row);
    assert.notDeepEqual(await of("one"), await of("two"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
