import { deepStrictEqual, match, strictEqual, throws } from "node:assert/strict";
import { conditionText, meets } from "../../../pipeline/manifest/expectations.ts";
import { parseManifest } from "../../../pipeline/manifest/read_manifest.ts";
import { callProgram } from "../../support/cli_call.ts";
import * as stages from "../../support/toy/stages.ts";

const STEPS = `
steps:
  one: { stage: constant, with: { value: 3 } }
  quality: { stage: score, from: { a: one } }
`;

function expectOf(text: string, set: readonly string[] = []) {
  return parseManifest(`${text}${STEPS}`, { path: "m.yaml", stages, set }).expect;
}

Deno.test("expectations are read with their params, which --set changes", () => {
  const text = 'params: { most: 4 }\nexpect: { quality.value: "<= ${most}", one.x: "> -1e-3" }\n';
  const [first, second] = expectOf(text)!;
  deepStrictEqual(first, { step: "quality", score: "value", relation: "<=", bound: 4 });
  deepStrictEqual(second, { step: "one", score: "x", relation: ">", bound: -0.001 });
  strictEqual(conditionText(expectOf(text, ["most=2.5"])![0]!), "<= 2.5");
  strictEqual(expectOf(""), undefined);
  strictEqual(expectOf("expect: null\n"), undefined);
});

Deno.test("expectations that cannot be read are told with their places, all at once", () => {
  const text = 'expect: { qality.value: "< 1", value: "< 1", one.x: 3, quality.x: "about 3" }\n';
  throws(() => expectOf(text), (error: Error) => {
    const lines = error.message.split("\n");
    strictEqual(lines.length, 4);
    match(
      lines[0]!,
      /^m\.yaml:1:11: Cannot expect anything of step "qality": did you mean "quality"\?$/,
    );
    match(lines[1]!, /^m\.yaml:1:32: .*"value": expected step\.score/);
    match(lines[2]!, /Cannot expect "one\.x" to be 3: expected a condition, such as "<= 1\.05"$/);
    match(lines[3]!, /Cannot expect "quality\.x" to be "about 3": expected a condition/);
    return true;
  });
  throws(() => expectOf("expect: [1]\n"), /"expect"/);
});

Deno.test("`meets()` compares, and no bound is met by NaN", () => {
  const cases = [["<=", 1, true], ["<=", 1.1, false], [">=", 1, true], ["<", 1, false], [
    ">",
    1.1,
    true,
  ]];
  for (const [relation, value, met] of cases as ["<=", number, boolean][]) {
    strictEqual(meets({ step: "a", score: "b", relation, bound: 1 }, value), met, relation);
    strictEqual(meets({ step: "a", score: "b", relation, bound: 1 }, NaN), false);
  }
});

Deno.test("a run whose scores are not as expected fails with the numbers, and keeps what it made", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/m.yaml`;
    const run = async (expect: string, ...args: string[]) => {
      await Deno.writeTextFile(path, `expect: { ${expect} }${STEPS}`);
      return await callProgram({ stages }, "run", path, ...args);
    };
    const bad = await run('quality.value: "< 3", quality.other: "> 0"');
    strictEqual(bad.status, 1);
    match(bad.out, /\nquality\.value is 3, expected < 3; its artifact is kept\n/);
    match(bad.out, /\nquality\.other is not there, expected > 0; its artifact is kept\n/);
    match(bad.out, /\nFailed: 2 scores are not as expected \(2 steps made, 0 reused\)\n/);
    const json = await run('quality.value: "< 3"', "--json");
    const summary = JSON.parse(json.out.trimEnd().split("\n").at(-1)!);
    deepStrictEqual([summary.ok, summary.unmet], [false, [
      { step: "quality", score: "value", value: 3, expected: "< 3" },
    ]]);
    const good = await run('quality.value: "<= 3"');
    strictEqual(good.status, 0);
    match(good.out, /All went well .*\(0 steps made, 2 reused\)/);
    const partial = await run('quality.value: "< 3"', "--until", "one");
    strictEqual(partial.status, 0);
    const shown = await callProgram({ stages }, "config", "show", path);
    match(shown.out, /^expect:\n {2}quality\.value: "< 3"\nsteps:\n/m);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("what is expected of a step of a sweep is expected of all its variants", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/m.yaml`;
    await Deno.writeTextFile(
      path,
      `params: { v: 1 }
matrix: { v: [1, 2, 3] }
expect: { quality.value: "< 2.5" }
steps:
  one: { stage: constant, with: { value: "\${v}" } }
  quality: { stage: score, from: { a: one } }
`,
    );
    const { status, out } = await callProgram({ stages }, "run", path);
    strictEqual(status, 1);
    match(
      out,
      /\nquality\[v=3\]\.value is 3, expected < 2\.5; its artifact is kept\n\nFailed: 1 score is/,
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
