import { strict as assert } from "node:assert";
import type { Findings } from "./findings.ts";
import { readFindings, writeFindings } from "./report_files.ts";

const HERE = new URL(".", import.meta.url);
const FOUND: Findings = {
  made: "today",
  where: "here",
  adapter: { name: "a card" },
  sections: [
    { title: "first", state: "done", seconds: 1, rows: [{ kernel: "glu" }] },
    { title: "second", state: "cut off", at: "matmul case 3", seconds: 2, rows: [] },
  ],
};

/** Runs a process that is told when to end, then this. */
function process(out: string, after: number, then: string): Promise<Deno.CommandOutput> {
  const word = { after, titles: ["first", "second", "third"] };
  const text = `import { endAfter } from ${JSON.stringify(new URL("last_word.ts", HERE).href)};
    endAfter(${JSON.stringify({ ...word, out })}); ${then}`;
  const args = ["eval", "--no-check", text];
  return new Deno.Command(Deno.execPath(), { args, stdout: "null", stderr: "piped" }).output();
}

Deno.test("a process whose driver does not come back is ended, and its files say where", async () => {
  const out = await Deno.makeTempDir();
  try {
    writeFindings(out, FOUND);
    // As one that compiles: no timer of this thread fires any more.
    const { success, stderr } = await process(out, 100, "for (;;);");
    assert.ok(!success);
    assert.match(new TextDecoder().decode(stderr), /the driver had not come back .* is in /);
    const { sections } = readFindings(out);
    assert.deepEqual(sections[0], FOUND.sections[0]);
    assert.deepEqual(sections.map(({ state }) => state), ["done", "cut off", "skipped"]);
    assert.deepEqual([sections[1]!.at, sections[2]!.title], ["matmul case 3", "third"]);
    assert.match(sections[1]!.reason!, /the driver had not come back/);
    assert.match(await Deno.readTextFile(`${out}/gpu-check.md`), /## third: skipped/);
    assert.deepEqual([...Deno.readDirSync(out)].length, 2);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("a process that is done in time is left alone", async () => {
  const out = await Deno.makeTempDir();
  try {
    writeFindings(out, FOUND);
    const { code } = await process(out, 60_000, "setTimeout(() => Deno.exit(3), 100);");
    assert.equal(code, 3);
    assert.deepEqual(readFindings(out), FOUND);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});
