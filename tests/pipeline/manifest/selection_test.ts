import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { allRuns } from "../../../pipeline/store/runs.ts";
import { parseManifest } from "../../../pipeline/manifest/read_manifest.ts";
import {
  matchSteps,
  type Selection,
  selectSteps,
  splitPatterns,
} from "../../../pipeline/manifest/selection.ts";
import { call } from "../../support/toy/call.ts";
import { openProject } from "../../support/toy/project.ts";
import * as stages from "../../support/toy/stages.ts";

/** one → two → rest → end → quality, and two → beside. */
const TREE = `
params: { by: 3 }
steps:
  one: { stage: constant, with: { value: 1 } }
  two: { stage: add, from: { a: one }, with: { by: "\${by}" } }
  rest: { stage: parity, from: { a: two } }
  end: { stage: add, from: { a: rest }, with: { by: 10 } }
  beside: { stage: score, from: { a: two } }
  quality: { stage: score, from: { a: end } }
`;

Deno.test("`selectSteps()` takes descendants, ancestors or exactly some, and what all parts select", () => {
  const manifest = parseManifest(TREE, { path: "tree.yaml", stages });
  const cases: [selection: Selection, names: string][] = [
    [{ from: ["rest"] }, "rest end quality"],
    [{ from: ["two"] }, "two rest end beside quality"],
    [{ until: ["rest"] }, "one two rest"],
    [{ only: ["rest", "one"] }, "one rest"],
    [{ from: ["two"], until: ["end"] }, "two rest end"],
    [{ from: ["beside", "end"] }, "end beside quality"],
    [{ until: ["beside", "rest"] }, "one two rest beside"],
    [{ from: ["two"], until: ["end"], only: ["*e*"] }, "rest end"],
    [{ only: ["?n?"] }, "one end"],
    [{ only: ["*"] }, "one two rest end beside quality"],
  ];
  for (const [selection, names] of cases) {
    deepStrictEqual([...selectSteps(manifest, selection)].join(" "), names);
  }
  throws(
    () => selectSteps(manifest, { from: ["end"], until: ["two"] }),
    new RangeError(
      "Cannot run a part of tree.yaml: no step is in all of --from end and --until two",
    ),
  );
  throws(
    () => selectSteps(manifest, { from: ["rets"] }),
    /select step "rets": did you mean "rest"/,
  );
  throws(
    () => selectSteps(manifest, { only: ["z*"] }),
    /select step "z\*": expected one of one, two/,
  );
});

Deno.test("`matchSteps()` takes brackets as they are, and a bare name for all variants", () => {
  const names = ["a", "a[x=0.2,y=1]", "a[x=0.25,y=1]", "ab[x=0.2]", "a(1)", "a.1", "a11"];
  const matched = (text: string) => [...matchSteps(splitPatterns(text), { names, verb: "find" })];
  deepStrictEqual(matched("a"), names.slice(0, 3));
  deepStrictEqual(matched("a[x=0.2,y=1]"), names.slice(1, 2));
  deepStrictEqual(matched("a[x=0.2*"), names.slice(1, 3));
  deepStrictEqual(matched("*[x=0.2*,y=1],a(1)"), [...names.slice(1, 3), "a(1)"]);
  deepStrictEqual(matched("a.1"), ["a.1"]);
  deepStrictEqual(matched("a[x=0.?,y=1], ab"), ["a[x=0.2,y=1]", "ab[x=0.2]"]);
  throws(() => matched("a[x]"), RangeError);
  throws(() => matched(""), /^RangeError: Cannot find step "": /);
  throws(() => matched("[a-z]*"), RangeError);
});

Deno.test("a partial run makes what is selected, reuses what that needs, and looks at nothing else", async () => {
  await using project = await openProject();
  await project.run(TREE);
  const selected = new Set(["rest", "end"]);
  const { states, summary, events } = await project.run(TREE, { selected, set: ["end.by=11"] });
  deepStrictEqual(states, {
    one: "skipped",
    two: "skipped",
    rest: "hit",
    end: "run",
    beside: "skipped",
    quality: "skipped",
  });
  strictEqual(summary.ok, true);
  deepStrictEqual(summary.scores, {}, "scores of steps that were not looked at");
  deepStrictEqual(events[0], { type: "selected", steps: ["rest", "end"], total: 6 });
  const rows = await project.plan(TREE, { selected, set: ["end.by=12"] });
  deepStrictEqual(rows.map(({ name, state, reason }) => `${name} ${state}: ${reason}`), [
    "one skipped: not selected, its artifact is used",
    "two skipped: not selected, its artifact is used",
    "rest hit: unchanged",
    "end run: by 11 → 12",
    "beside skipped: not selected",
    "quality skipped: not selected",
  ]);
});

Deno.test("a partial run keeps in its record what skipped steps had", async () => {
  await using project = await openProject();
  await project.run(TREE);
  await project.run(TREE, { selected: new Set(["end"]) });
  const [last, first] = await allRuns(`${project.directory}/store`);
  deepStrictEqual([last?.state, first?.state], ["ok", "ok"]);
  deepStrictEqual(last?.selected, ["end"]);
  const facts = (steps: typeof first) =>
    steps?.steps.map(({ name, key, digest, cost, recipe }) => ({
      name,
      key,
      digest,
      cost,
      recipe,
    }));
  deepStrictEqual(facts(last), facts(first));
  ok(last?.steps.every(({ key, digest }) => key && digest));
  deepStrictEqual(
    last?.steps.map(({ state }) => state).filter((state) => state === "skipped").length,
    5,
  );
});

Deno.test("a partial run is refused before any work when a skipped step that it needs is not there", async () => {
  await using project = await openProject();
  await project.run(TREE);
  const options = { selected: new Set(["one", "end", "quality"]), set: ["by=4"] };
  const rows = await project.plan(TREE, options);
  deepStrictEqual(rows.map(({ name, state }) => `${name} ${state}`), [
    "one hit",
    "two skipped",
    "rest skipped",
    "end blocked",
    "beside skipped",
    "quality blocked",
  ]);
  const sentence =
    'Cannot make step "end": it needs "rest", which is not selected and not in the ' +
    "store; make it with --until rest first";
  strictEqual(rows[3]?.reason, sentence);
  strictEqual(rows[4 + 1]?.reason, 'depends on "end"');
  const { states, summary, events } = await project.run(TREE, options);
  // What has nothing to do with it is looked at, and is there.
  deepStrictEqual([states.one, states.end, states.quality], ["hit", "failed", "blocked"]);
  deepStrictEqual([states.two, states.beside], ["skipped", "skipped"]);
  strictEqual(summary.ok, false);
  const failed = events.flatMap((event) => event.type === "failed" ? event.message : []);
  deepStrictEqual(failed, [sentence]);
  ok(!events.some(({ type }) => type === "start"));
});

Deno.test("a partial run goes on through a skipped step only if that is there for the new bytes", async () => {
  await using project = await openProject();
  await project.run(TREE, { set: ["by=3"] });
  await project.run(TREE, { set: ["by=5"] });
  // `two` is made again, `rest` is skipped, and whether it is there shows when `two` is made.
  const selected = new Set(["two", "end"]);
  const known = { selected, set: ["by=5"], force: new Set(["two"]) };
  const rows = await project.plan(TREE, known);
  deepStrictEqual(rows.slice(1, 4).map(({ state, reason }) => `${state}: ${reason}`), [
    "forced: asked for",
    'skipped: not selected, depends on "two"',
    'run?: depends on "rest"',
  ]);
  deepStrictEqual((await project.run(TREE, known)).states.end, "hit");
  const { states, events } = await project.run(TREE, { selected, set: ["by=4"] });
  deepStrictEqual([states.two, states.rest, states.end], ["run", "skipped", "failed"]);
  match(
    events.flatMap((event) => event.type === "failed" ? event.message : [])[0] ?? "",
    /^Cannot make step "end": it needs "rest", which is not selected/,
  );
});

Deno.test("`run` and `plan` print first which steps are selected, and refuse a selection of nothing", async () => {
  await using project = await openProject();
  await Deno.writeTextFile(project.path, TREE);
  const args = [project.path, "--store", `${project.directory}/store`];
  await call(["run", ...args]);
  const run = await call(["run", ...args, "--from", "rest", "--until=quality", "--until", "end"]);
  strictEqual(run.status, 0);
  strictEqual(run.lines[0], "3 of 6 steps selected: rest, end, quality");
  match(run.out, /^one +skipped /m);
  const plan = await call(["plan", ...args, "--only", "rest,q*"]);
  deepStrictEqual([plan.status, plan.lines[0]], [0, "2 of 6 steps selected: rest, quality"]);
  match(plan.out, /^0 of 6 steps would run, 4 skipped$/m);
  const json = await call(["plan", ...args, "--only", "rest", "--json"]);
  deepStrictEqual(
    json.lines.map((line) => JSON.parse(line).type),
    ["selected", "plan"],
  );
  for (
    const [wrong, line] of [
      [["--only", "rset"], /^Cannot select step "rset": did you mean "rest"\?$/m],
      [["--from", "end", "--until", "one"], /no step is in all of --from end and --until one$/m],
      [["--only", "rest", "--force=two"], /^Cannot force step "two": it is not selected/m],
      [["--only", "rest", "--force=x*"], /^Cannot force step "x\*": expected one of rest$/m],
      [["--only", "rest", "--lock"], /^Cannot lock a part of a manifest/m],
    ] as const
  ) {
    const { status, errors } = await call(["run", ...args, ...wrong]);
    strictEqual(status, 2, wrong.join(" "));
    match(errors, line);
  }
});

Deno.test("`--force` makes what is selected again, by patterns and repeated", async () => {
  await using project = await openProject();
  await Deno.writeTextFile(project.path, TREE);
  const args = ["run", project.path, "--store", `${project.directory}/store`, "--json"];
  const made = async (...more: string[]) => {
    const { lines } = await call([...args, ...more]);
    const { steps } = JSON.parse(lines.at(-1) ?? "");
    return steps.flatMap(({ name, state }: Record<string, string>) => state === "run" ? name : [])
      .join(" ");
  };
  await made();
  strictEqual(await made("--force", "--from", "rest"), "rest end quality");
  strictEqual(await made("--force=o*,beside", "--force=r?st"), "one rest beside");
  strictEqual(await made("--until", "rest", "--force=r*"), "rest");
});
