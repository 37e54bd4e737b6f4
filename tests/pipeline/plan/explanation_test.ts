import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { keyOf } from "../../../pipeline/store/key.ts";
import type { Explanation } from "../../../pipeline/plan/explanation.ts";
import { allRuns } from "../../../pipeline/store/runs.ts";
import { call } from "../../support/toy/call.ts";
import { openProject, type Project } from "../../support/toy/project.ts";
import * as toyStages from "../../support/toy/stages.ts";

/** A diamond: two feeds rest and end, rest feeds end, all gather in sum. */
const DIAMOND = `
params: { value: 1, by: 3 }
steps:
  one: { stage: constant, with: { value: "\${value}" } }
  two: { stage: add, from: { a: one }, with: { by: "\${by}" } }
  rest: { stage: parity, from: { a: two } }
  end: { stage: add, from: { a: rest, b: two }, with: { by: 10 } }
  sum: { stage: total, from: { all: [one, end] } }
`;

async function explained(
  project: Project,
  step: string,
  ...more: string[]
): Promise<Explanation & { readonly type: string }> {
  const { status, lines } = await call(
    ["explain", project.path, step, "--store", `${project.directory}/store`, "--json", ...more],
  );
  strictEqual(status, 0);
  strictEqual(lines.length, 1);
  return JSON.parse(lines[0] ?? "");
}

/** What is not as before, by field. */
function changed({ fields }: Explanation): Record<string, unknown[]> {
  return Object.fromEntries(
    fields.filter(({ state }) => state !== "same")
      .map(({ field, before, now, state }) => [field, [state, before, now]]),
  );
}

Deno.test("`explain` gives the whole key document now and in the last run that had the step", async () => {
  await using project = await openProject();
  await project.run(DIAMOND);
  const { type, state, reason, key, keyBefore, fields, causes, against } = await explained(
    project,
    "two",
    "--set",
    "by=4",
  );
  deepStrictEqual([type, state, reason], ["explain", "run", "by 3 → 4"]);
  const [record] = await allRuns(`${project.directory}/store`);
  const step = record?.steps.find(({ name }) => name === "two");
  ok(record && step?.recipe);
  deepStrictEqual(against, { id: record.id, started: record.started, state: "ok" });
  strictEqual(keyBefore, step.key);
  const params = { by: 4, parts: 1, pause: 0 };
  strictEqual(key, keyOf({ ...step.recipe, params }));
  deepStrictEqual(fields, [
    { field: "stage", before: "add", now: "add", state: "same" },
    { field: "version", before: 1, now: 1, state: "same" },
    { field: "params.by", before: 3, now: 4, words: "by 3 → 4", state: "changed" },
    { field: "params.parts", before: 1, now: 1, state: "same" },
    { field: "params.pause", before: 0, now: 0, state: "same" },
    {
      field: "inputs.a",
      before: step.recipe.inputs.a,
      now: step.recipe.inputs.a,
      state: "same",
    },
  ]);
  deepStrictEqual(causes, []);
});

Deno.test("`explain` follows inputs that are other ones up to the step where the difference starts", async () => {
  await using project = await openProject();
  await project.run(DIAMOND);
  const ahead = await explained(project, "sum", "--set", "by=4");
  deepStrictEqual([ahead.state, ahead.key], ["run?", undefined]);
  deepStrictEqual(Object.keys(changed(ahead)), ["inputs.all.1"]);
  strictEqual(
    ahead.fields.find(({ field }) => field === "inputs.all.1")?.words,
    'not known before "end" is made',
  );
  const chain = [{
    step: "end",
    words: "has other inputs",
    causes: [
      {
        step: "rest",
        words: "has other inputs",
        causes: [{ step: "two", words: "changed: by 3 → 4", causes: [] }],
      },
      { step: "two", words: "as told above", causes: [] },
    ],
  }];
  deepStrictEqual(ahead.causes, chain);
  await project.run(DIAMOND, { set: ["by=4"] });
  const [, first] = await allRuns(`${project.directory}/store`);
  const after = await explained(project, "sum", "--set", "by=4", "--against", first?.id ?? "");
  deepStrictEqual([after.state, after.reason], ["hit", "unchanged"]);
  deepStrictEqual(after.causes, chain);
  const [field] = after.fields.filter(({ state }) => state !== "same");
  deepStrictEqual([field?.field, field?.words], [
    "inputs.all.1",
    'input "all" 1 changed: 1 of 2 files (number)',
  ]);
});

Deno.test("`explain` names other wiring, other versions, and steps that are asked for or gone", async () => {
  await using project = await openProject();
  const { events } = await project.run(DIAMOND);
  await Deno.writeTextFile(
    project.path,
    DIAMOND.replace("{ a: rest, b: two }", "{ a: one, b: two }"),
  );
  const rewired = await explained(project, "end");
  strictEqual(rewired.state, "run");
  deepStrictEqual(rewired.causes, [
    { step: "one", words: 'comes from "one" now, came from "rest"', causes: [] },
  ]);
  await Deno.writeTextFile(project.path, DIAMOND.replace("[one, end]", "[one, end, two]"));
  const grown = await explained(project, "sum");
  deepStrictEqual(grown.causes, [{ step: "two", words: "is a new input", causes: [] }]);
  await Deno.writeTextFile(project.path, DIAMOND);
  deepStrictEqual((await explained(project, "rest", "--force=two")).causes, [
    { step: "two", words: "is made again: asked for", causes: [] },
  ]);
  const done = events.find((event) => event.type === "done" && event.step === "one");
  await Deno.remove(done?.type === "done" ? done.path : "", { recursive: true });
  const gone = await explained(project, "two");
  deepStrictEqual([gone.state, gone.reason], ["run?", 'depends on "one"']);
  deepStrictEqual(gone.causes, [{ step: "one", words: "its artifact is gone", causes: [] }]);

  const store = `${project.directory}/store`;
  const raised = { ...toyStages, constant: { ...toyStages.constant, version: 2 } };
  const { lines } = await call(
    ["explain", project.path, "two", "--store", store, "--json"],
    { stages: raised },
  );
  deepStrictEqual(JSON.parse(lines[0] ?? "").causes, [
    { step: "one", words: "changed: version of constant 1 → 2", causes: [] },
  ]);
});

Deno.test("`explain` tells when the same recipe gave other bytes", async () => {
  let number = 0;
  const random = {
    ...toyStages.constant,
    run: (job: { readonly out: string }) =>
      Deno.writeTextFile(`${job.out}/number`, String(number++)),
  };
  const stages = { ...toyStages, constant: random };
  await using project = await openProject(stages);
  await project.run(DIAMOND);
  await project.run(DIAMOND, { force: new Set(["one"]) });
  const [, first] = await allRuns(`${project.directory}/store`);
  const { causes } = await explained(project, "two", "--against", first?.id ?? "");
  deepStrictEqual(causes, [{ step: "one", words: "was made again with other bytes", causes: [] }]);
});

Deno.test("`explain` compares with the run that made the step, and tells a part that was run since", async () => {
  await using project = await openProject();
  await project.run(DIAMOND);
  await project.run(DIAMOND, { set: ["by=4"], selected: new Set(["two"]) });
  const [part, whole] = await allRuns(`${project.directory}/store`);
  const rest = await explained(project, "rest", "--set", "by=4");
  deepStrictEqual([rest.state, rest.against?.id], ["run", whole?.id]);
  deepStrictEqual(rest.causes, [{ step: "two", words: "changed: by 3 → 4", causes: [] }]);
  const since = await explained(project, "rest", "--set", "by=4", "--against", "last");
  strictEqual(since.against?.id, part?.id);
  deepStrictEqual(since.causes, [
    { step: "two", words: 'was made again since "rest" was', causes: [] },
  ]);
});

Deno.test("`explain --against` takes last, last-good and the beginning of an id", async () => {
  await using project = await openProject();
  await project.run(DIAMOND);
  const broken = DIAMOND.replace("stage: parity", "stage: fail");
  await project.run(broken, { set: ["by=4"] });
  await Deno.writeTextFile(project.path, DIAMOND);
  const [last, good] = await allRuns(`${project.directory}/store`);
  deepStrictEqual([last?.state, good?.state], ["failed", "ok"]);
  strictEqual((await explained(project, "two", "--against", "last")).against?.id, last?.id);
  strictEqual((await explained(project, "two", "--against", "last-good")).against?.id, good?.id);
  strictEqual((await explained(project, "two", "--against", good?.id ?? "")).against?.id, good?.id);
  // The failed run made nothing of `rest`; without a wish the run before counts.
  const tried = await explained(project, "rest", "--against", "last");
  deepStrictEqual(tried.fields.slice(0, 1).map(({ before, now }) => [before, now]), [
    ["fail", "parity"],
  ]);
  strictEqual(tried.keyBefore, last?.steps.find(({ name }) => name === "rest")?.key);
  const none = await explained(project, "end", "--against", "last");
  deepStrictEqual([none.keyBefore, none.against?.id], [undefined, last?.id]);
  strictEqual((await explained(project, "rest")).against?.id, good?.id);

  const store = ["--store", `${project.directory}/store`];
  for (
    const [args, line] of [
      [
        ["two", "--against", "1999"],
        /run "1999": there is none, expected last, last-good or one, s/,
      ],
      [["two", "--against", ""], /run "": 2 runs begin so, expected last/],
      [["tow"], /^Cannot find step "tow": did you mean "two"\?$/m],
      [["*e*"], /^Cannot tell which step "\*e\*" is: expected one of one, rest, end$/m],
    ] as const
  ) {
    const { status, errors } = await call(["explain", project.path, ...store, ...args]);
    strictEqual(status, 2, args.join(" "));
    match(errors, line);
  }
});

Deno.test("`explain` tells people what and why, both key documents, and where it starts", async () => {
  await using project = await openProject();
  await Deno.writeTextFile(project.path, DIAMOND);
  const args = ["--store", `${project.directory}/store`];
  const fresh = await call(["explain", project.path, "two", ...args]);
  deepStrictEqual(fresh.lines.slice(0, 2), [
    'two (add): run?, depends on "one"',
    "No run is known in which it had an artifact",
  ]);
  match(fresh.out, /^ +params\.by +3$/m);
  await project.run(DIAMOND);
  const { lines, out } = await call(["explain", project.path, "end", ...args, "--set", "by=4"]);
  strictEqual(lines[0], 'end (add): run?, depends on "rest" and "two"');
  match(lines[1] ?? "", /^Compared with run \d{8}-\d{6}-[0-9a-f]{8} \(ok\)$/);
  match(out, /^\? +inputs\.a +[0-9a-f]{8}… +not known before "rest" is made$/m);
  match(out, /^ +params\.by +10 +10$/m);
  deepStrictEqual(lines.slice(-3), [
    'because "rest" has other inputs',
    '  because "two" changed: by 3 → 4',
    'because "two" as told above',
  ]);
  await project.run(DIAMOND, { set: ["by=4"] });
  const again = await call(["explain", project.path, "end", ...args]);
  match(again.out, /^≠ +inputs\.b +[0-9a-f]{8}… +[0-9a-f]{8}…: 1 of 2 files \(number\)$/m);
});
