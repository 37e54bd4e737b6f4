import { strict as assert } from "node:assert";
import { basename, dirname, join } from "node:path";
import { allHands } from "./support/all_tests.ts";
import { fastTests, testFiles } from "./support/fast_tests.ts";
import { ROOT } from "./support/source_files.ts";

/** Tests that walk over several files, and what these have in common. */
const THEMES: Readonly<Record<string, string>> = {
  "kernels/batch_order": "kernels whose rows must not depend on the rows beside them",
  "kernels/conformance": "all of `kernels/mod.ts`",
  "stages/composition": "stages that may come in any order",
  "stages/exchange/conformance": "all of `stages/exchange/mod.ts`",
  "stages/exchange/hostile": "what files of strangers may say to all readers",
  "stages/journal": "stages that go on where they were",
};

Deno.test("tests stand where their subjects do, and are called as they are", async () => {
  for (const path of await testFiles("tests")) {
    if (/^tests\/(slow\/|bench\/|\w+$)/.test(path.replace(".ts", ""))) continue;
    const subject = path.replace(/^tests\//, "").replace(/_test\.ts$/, "");
    if (subject in THEMES) continue;
    const folder = dirname(subject);
    const words = basename(subject).split("_");
    const names = words.map((_, i) => `${folder}/${words.slice(0, i + 1).join("_")}`);
    const fits = await Promise.all(names.flatMap((name) => [isThere(`${name}.ts`), isThere(name)]));
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

Deno.test("`deno task test:fast` opens no device", async () => {
  const fast = await fastTests();
  assert.ok(fast.includes("tests/layout_test.ts") && !fast.includes("tests/stages/mod_test.ts"));
  for (const path of fast) {
    const text = await Deno.readTextFile(join(ROOT, path));
    for (
      const door of ["Cpu", "Gpu", "openDevice", "WorkerEngine", "ReferenceDevice", "StageChain"]
    ) {
      assert.ok(!new RegExp(`\\b${door}[.(]`).test(text), `${path} opens a ${door}`);
    }
  }
});

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(join(ROOT, path)).then(() => true, () => false);
}
