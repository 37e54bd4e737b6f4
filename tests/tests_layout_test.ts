import { strict as assert } from "node:assert";
import { basename, dirname, join } from "node:path";
import { allHands } from "./support/all_tests.ts";
import { fastTests, testFiles } from "./support/fast_tests.ts";
import { ROOT } from "./support/source_files.ts";
import { failures, summary } from "./support/test_output.ts";

/** Tests that walk over several files, and what these have in common. */
const THEMES: Readonly<Record<string, string>> = {
  "kernels/backward": "gradients against autograd, of all kernels that make some",
  "kernels/batch_order": "kernels whose rows must not depend on the rows beside them",
  "kernels/conformance": "all of `kernels/mod.ts`",
  "stages/composition": "stages that may come in any order",
  "stages/exchange/conformance": "all of `stages/exchange/mod.ts`",
  "stages/exchange/hostile": "what files of strangers may say to all readers",
  "stages/journal": "stages that go on where they were",
  "stages/launch_sizes": "how much a launch computes, over forecasts of stages",
};

Deno.test("tests stand where their subjects do, and are called as they are", async () => {
  for (const path of await testFiles("tests")) {
    if (/^tests\/(slow\/|bench\/|gpu_check\/|\w+$)/.test(path.replace(".ts", ""))) continue;
    const subject = path.replace(/^tests\//, "").replace(/_test\.ts$/, "");
    if (subject in THEMES) continue;
    const folder = dirname(subject);
    const words = basename(subject).split("_");
    const names = words.map((_, i) => `${folder}/${words.slice(0, i + 1).join("_")}`);
    const fits = await Promise.all(
      names.flatMap((name) => [isThere(`${name}.ts`), isThere(`${name}.wgsl`), isThere(name)]),
    );
    const itself = basename(folder) === basename(subject) && await isThere(`${folder}.ts`);
    assert.ok(
      itself || fits.includes(true),
      `${path} begins with the name of no file in ${folder}/`,
    );
  }
});

Deno.test("slow tests say first why they are, and support modules are called by nouns", async () => {
  for (const path of await testFiles("tests/slow")) {
    assert.match(await Deno.readTextFile(join(ROOT, path)), /^\/\/ Slow: .+\.\n/, path);
  }
  for await (const { name } of Deno.readDir(join(ROOT, "tests/support"))) {
    assert.ok(!/ed\.ts$/.test(name), `tests/support/${name}`);
  }
});

Deno.test("`deno task test` runs every file of tests once", async () => {
  for (const cores of [1, 2, 16]) {
    assert.deepEqual((await allHands(cores)).flat().sort(), await testFiles("tests"));
  }
});

Deno.test("processes of tests are summed up in a line, and one that died is a failed test", () => {
  const first = "a ... ok (1ms)\n\nok | 20 passed (1 step) | 0 failed | 3 ignored (2s)\n\n";
  const second = "\x1b[32mok\x1b[0m | 5 passed (41 steps) | 0 failed | 7 filtered out (1m2s)\n";
  const failed = "\nFAILED | 4 passed | 2 failed (1s)\n";
  strictSummary(
    [first, second],
    "ok | 25 passed (42 steps) | 0 failed | 3 ignored | 7 filtered out",
  );
  strictSummary([second, failed], "FAILED | 9 passed (41 steps) | 2 failed | 7 filtered out");
  strictSummary([failed, "b ...", ""], "FAILED | 4 passed | 4 failed");
  assert.equal(summary([], { fine: false, seconds: 5 }), "FAILED | 0 passed | 0 failed (0m5s)");
});

function strictSummary(texts: readonly string[], line: string): void {
  const outputs = texts.map((text) => ({ files: [], success: true, text }));
  assert.equal(summary(outputs, { fine: true, seconds: 125.7 }), `${line} (2m5s)`);
}

Deno.test("a run of tests ends with the failed ones, their places and the begin of what they say", () => {
  const stack = Array.from({ length: 9 }, (_, at) => `    at file:///a/b_test.ts:${at}:1`);
  const message = Array.from({ length: 30 }, (_, at) => `line ${at}`);
  const text = [
    "adds ... \x1b[31mFAILED\x1b[0m (1ms)",
    "",
    "\x1b[41m ERRORS \x1b[0m",
    "",
    "adds up => ./a/b_test.ts:2:6",
    "error: AssertionError: unequal",
    "",
    "2 !== 3",
    "",
    '    at Test.adds ("x => y")',
    ...stack,
    "",
    "speaks ... long => ./a/b_test.ts:4:6",
    "error: Error: much",
    ...message,
    "",
    "./tests/support/test_imports.ts (uncaught error)",
    "error: Error: late",
    "    at ext:core/x.js:1:1",
    "",
    " FAILURES ",
    "",
    "adds up => ./a/b_test.ts:2:6",
    "speaks ... long => ./a/b_test.ts:4:6",
    "",
    "FAILED | 2 passed | 3 failed (1ms)",
    "",
  ].join("\n");
  assert.deepEqual(failures({ files: [], success: false, text }), [
    ["adds up => ./a/b_test.ts:2:6", "error: AssertionError: unequal", "", "2 !== 3", ""]
      .concat(stack.slice(0, 3)).join("\n"),
    ["speaks ... long => ./a/b_test.ts:4:6", "error: Error: much", ...message.slice(0, 11), "..."]
      .join("\n"),
    "./tests/support/test_imports.ts (uncaught error)\nerror: Error: late",
  ]);
  const died = { files: ["a_test.ts", "b_test.ts"], success: false, text: "one ... ok\ntwo ..." };
  assert.deepEqual(failures(died), ["failed: a_test.ts b_test.ts\none ... ok\ntwo ..."]);
  assert.deepEqual(failures({ files: [], success: true, text: "ok | 1 passed | 0 failed" }), []);
});

Deno.test("`deno task test:fast` opens no device", async () => {
  const fast = await fastTests();
  assert.ok(fast.includes("tests/layout_test.ts") && !fast.includes("tests/stages/mod_test.ts"));
  for (const path of fast) {
    const text = await Deno.readTextFile(join(ROOT, path));
    for (
      const door of [
        "Cpu",
        "Gpu",
        "openDevice",
        "openTunedDevice",
        "WorkerEngine",
        "ReferenceDevice",
        "StageChain",
      ]
    ) {
      assert.ok(!new RegExp(`\\b${door}[.(]`).test(text), `${path} opens a ${door}`);
    }
  }
});

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(join(ROOT, path)).then(() => true, () => false);
}
