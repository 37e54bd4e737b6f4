import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Describe, FigureParts } from "../../../../pipeline/description.ts";
import { allRuns } from "../../../../pipeline/store/runs.ts";
import { type Called, callProgram } from "../../../support/cli_call.ts";
import { withDirectory } from "../../../support/directory.ts";
import * as stages from "../../../support/toy/stages.ts";

const MANIFEST = `
params: { value: 3 }
steps:
  one: { stage: constant, with: { value: "\${value}" } }
  two: { stage: add, from: { a: one }, with: { by: 4, parts: 3 } }
  quality: { stage: score, from: { a: two } }
`;

/** A store in which a manifest ran with each of some settings, and the ids of the runs. */
async function withRuns(
  settings: readonly (readonly string[])[],
  use: (
    call: (...words: readonly string[]) => Promise<Called>,
    ids: readonly string[],
    store: string,
  ) => Promise<void>,
  describe: Describe = () => Promise.resolve(undefined),
): Promise<void> {
  await withDirectory(async (directory) => {
    const [path, store] = [`${directory}/a.yaml`, `${directory}/store`];
    await Deno.writeTextFile(path, MANIFEST);
    const program = { stages, describe };
    const call = (...words: readonly string[]) => callProgram(program, ...words, "--store", store);
    for (const words of settings) strictEqual((await call("run", path, ...words)).status, 0);
    await use(call, (await allRuns(store)).map(({ id }) => id).toReversed(), store);
  });
}

Deno.test("`runs` lists the runs of a store, the newest last, and shows one", () =>
  withRuns([[], ["--set", "value=5"]], async (call, [first, second]) => {
    const { status, out } = await call("runs");
    strictEqual(status, 0);
    const lines = out.trimEnd().split("\n").slice(-2);
    match(lines[0]!, new RegExp(`^ *${first} .*all went well in .* 3 of 3 +value 7$`));
    match(lines[1]!, new RegExp(`^ *${second} .*all went well in .* 3 of 3 +value 9$`));
    deepStrictEqual(
      (await call("runs", "show", second!)).out,
      (await call("inspect", second!)).out,
    );
    const [section] = JSON.parse((await call("runs", "--json")).out).sections;
    deepStrictEqual(section.table.rows.map(([id]: [string]) => id), [first, second]);
  }));

Deno.test("`runs diff` tells params, what steps were made from, scores and times, and no more", () =>
  withRuns([[], ["--set", "value=5"], ["--set", "value=5"]], async (call, [first, second]) => {
    const { out } = await call("runs", "diff", first!, second!);
    match(out, /^Params\n.*\n {2}value +3 +5$/m);
    match(out, /^What steps were made from\n {2}one: value 3 → 5\n\n/m);
    match(out, /^Scores\n.*\n {2}value +7.00000 +9.00000 +\+28.6 %$/m);
    // Seconds of steps that both made; the third run made none.
    const { out: same } = await call("runs", "diff", second!, "last");
    ok(!/Params|made from/.test(same), same);
    match(same, /^ {2}value +9.00000 +9.00000 +same$/m);
    match(same, /^Times\n.*\n {2}one +[\d.]+ +hit$/m);
  }));

/** Says of a score what an evaluation would: a figure with its error, and a size. */
/** A score of two windows, or of three where it is large. */
function windowsOf(value: number): FigureParts {
  return {
    of: value > 9 ? "three" : "two",
    values: () => Promise.resolve([value - 1, value + 1]),
    difference: ([before]) => Promise.resolve(`${value - 1 - before!} ± 0, not distinguishable`),
  };
}

const describe: Describe = async (path, { kind }) => {
  if (kind !== "report") return undefined;
  const { scores } = JSON.parse(await Deno.readTextFile(`${path}/artifact.json`));
  const figures = [
    { name: "Loss", value: scores.value, text: `${scores.value}.0 ± 0.5`, axis: "quality" },
    { name: "Parts", value: scores.value, text: `${scores.value}`, parts: windowsOf(scores.value) },
    { name: "Bits", value: 4, text: "4.00", axis: "size" },
  ] as const;
  return { title: "a score", sections: [], warnings: [], figures };
};

Deno.test("`runs show` and `runs diff` have scores with their errors, as long as the store has them", () =>
  withRuns([[], ["--set", "value=5"]], async (call, [first, second], store) => {
    const { out: shown } = await call("runs", "show", second!);
    match(shown, /^Scores\n {2}step +Loss +Parts +Bits\n {2}quality +9\.0 ± 0\.5 +9 +4\.00\n/m);
    ok(!/^ {2}scores /m.test(shown), shown);
    const { out: changed } = await call("runs", "diff", first!, second!);
    match(changed, /^ {2}quality: Loss +7\.0 ± 0\.5 +9\.0 ± 0\.5 +\+28\.6 %$/m);
    match(changed, /^ {2}quality: Parts +7 +9 +2 ± 0, not distinguishable$/m);
    match(changed, /^ {2}quality: Bits +4\.00 +4\.00 +same$/m);
    ok(!/^ {2}value +7.00000/m.test(changed), changed);
    // Of an artifact that is gone the record still has the number.
    const [{ steps } = { steps: [] }] = await allRuns(store);
    const { key } = steps.find(({ name }) => name === "quality")!;
    await Deno.remove(`${store}/artifacts/${key}`, { recursive: true });
    match((await call("runs", "show", second!)).out, /^ {2}scores +value 9$/m);
    match(
      (await call("runs", "diff", first!, second!)).out,
      /^ {2}value +7\.00000 +9\.00000 +\+28\.6 %$/m,
    );
  }, describe));

Deno.test("`runs diff` names the steps that one run has alone in a line", () =>
  withDirectory(async (directory) => {
    const [path, store] = [`${directory}/a.yaml`, `${directory}/store`];
    const call = (...words: readonly string[]) =>
      callProgram({ stages, describe }, ...words, "--store", store);
    const more =
      "  three: { stage: add, from: { a: one } }\n  four: { stage: add, from: { a: one } }\n";
    for (const text of [MANIFEST, MANIFEST + more]) {
      await Deno.writeTextFile(path, text);
      strictEqual((await call("run", path)).status, 0);
    }
    const [second, first] = (await allRuns(store)).map(({ id }) => id);
    const { out } = await call("runs", "diff", first!, second!);
    match(out, /^Steps\n {2}only in the second: three, four\n\n/m);
    ok(!/^ {2}three /m.test(out), "its time is compared with none");
  }));

Deno.test("`runs` lists no more scores than a line has room for", () =>
  withDirectory(async (directory) => {
    const [path, store] = [`${directory}/a.yaml`, `${directory}/store`];
    const program = { stages, describe: () => Promise.resolve(undefined) };
    const call = (...words: readonly string[]) => callProgram(program, ...words, "--store", store);
    await Deno.writeTextFile(path, `matrix: { value: [1, 2, 3, 4, 5, 6] }${MANIFEST}`);
    strictEqual((await call("run", path)).status, 0);
    match((await call("runs")).out, / 6, which runs show has$/m);
    match((await call("runs", "show", "last")).out, /scores +quality\[value=1\]\.value 5, .*=6\]/);
  }));

Deno.test("`runs` refuses what names no run, and what it does not know", () =>
  withRuns([[]], async (call) => {
    const unknown = await call("runs", "diff", "last", "nothing");
    strictEqual(unknown.status, 1);
    match(unknown.errors, /^Cannot find run "nothing": .*; deno task runs lists them\n$/);
    const wrong = await call("runs", "compare");
    strictEqual(wrong.status, 2);
    match(wrong.errors, /^Cannot tell runs by "compare": expected nothing, show RUN or diff RUN/);
  }));
