import { strict as assert } from "node:assert";
import { type Findings, isFine, makeParts, markdownOf, type Part, Skipped } from "./findings.ts";

function nothing(): Findings {
  return { made: "today", where: "here", adapter: { name: "a card" }, sections: [] };
}

function part(title: string, run: Part["run"]): Part {
  return { title, run };
}

Deno.test("a check says of each part what it came to, and keeps what was found before it ends", async () => {
  const findings = nothing();
  const kept: string[] = [];
  await makeParts(findings, [
    part("good", ({ tell }) => Promise.resolve(tell({ kernel: "a|b", worst: 0 }))),
    part("bad", ({ tell }) => Promise.resolve(tell({ kernel: "c", worst: 1 }, false))),
    part("gone", () => Promise.reject(new Error("the device was lost"))),
    part("absent", () => Promise.reject(new Skipped("it is not installed"))),
  ], { deadline: Infinity, keep: (now) => void kept.push(JSON.stringify(now)) });
  const states = findings.sections.map(({ title, state, reason }) => [title, state, reason]);
  assert.deepEqual(states, [
    ["good", "done", undefined],
    ["bad", "wrong", "1 of 1 rows are not as expected"],
    ["gone", "failed", "the device was lost"],
    ["absent", "skipped", "it is not installed"],
  ]);
  assert.ok(!isFine(findings));
  // What a process that dies in a part leaves behind.
  assert.match(kept[0]!, /"state":"cut off".*"worst":0/);
  const page = markdownOf(findings);
  assert.match(page, /# GPU check: a card\n\ntoday, here: something is wrong/);
  assert.match(page, /\| kernel \| worst \|\n\| --- \| --- \|\n\| a\\\|b \| 0 \|/);
});

Deno.test("what a driver was given when it ended the process is kept, and a part that failed harms no other", async () => {
  const findings = nothing();
  const kept: string[] = [];
  let sound = true;
  await makeParts(findings, [
    part("first", ({ at }) => {
      at("matmul case 3");
      sound = false;
      return Promise.reject(new Error("the device was lost"));
    }),
    part("second", ({ tell, at }) => {
      at("glu case 1");
      return Promise.resolve(tell({ sound }, sound));
    }),
  ], {
    deadline: Infinity,
    keep: (now) => void kept.push(markdownOf(now)),
    renew: () => Promise.resolve(void (sound = true)),
  });
  assert.match(kept[0]!, /## first: cut off\n\n\d\.\d s; at matmul case 3\n/);
  const [first, second] = findings.sections;
  assert.deepEqual([first!.state, first!.at], ["failed", "matmul case 3"]);
  assert.deepEqual([second!.state, second!.at], ["done", undefined]);
});

Deno.test("a check makes no part for which no time is left, and says so", async () => {
  const findings = nothing();
  await makeParts(findings, [
    part("first", async ({ tell, late }) => {
      while (!late()) await new Promise((next) => setTimeout(next, 1));
      tell({ done: 1 });
    }),
    part("second", () => Promise.reject(new Error("it was made"))),
  ], { deadline: performance.now() + 20, keep: () => {} });
  const [first, second] = findings.sections;
  assert.equal(first!.state, "cut off");
  assert.deepEqual([second!.state, second!.reason], ["skipped", "no time was left: --minutes"]);
  assert.ok(isFine(findings));
});
