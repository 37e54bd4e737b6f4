import { strict as assert } from "node:assert";
import {
  type Findings,
  isFine,
  makeParts,
  markdownOf,
  type Part,
  Skipped,
  timesOf,
} from "./findings.ts";

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
    part("first", async ({ tell, late, leave }) => {
      while (!late()) await new Promise((next) => setTimeout(next, 1));
      tell({ done: 1 });
      for (let i = 1; i <= 14; i++) leave(`case ${i}`);
    }),
    part("second", () => Promise.reject(new Error("it was made"))),
  ], { deadline: performance.now() + 20, keep: () => {} });
  const [first, second] = findings.sections;
  assert.equal(first!.state, "cut off");
  assert.match(first!.reason!, /^no time was left for case 1, .*, case 12 and 2 more$/);
  assert.deepEqual([second!.state, second!.reason], ["skipped", "no time was left: --minutes"]);
  assert.ok(isFine(findings));
});

Deno.test("a part that does not come back is left at the end, and what it says then is not heard", async () => {
  const findings = nothing();
  let later: (() => void) | undefined;
  let passed = performance.now();
  await makeParts(findings, [
    part("hangs", async ({ tell, at }) => {
      tell({ row: 1 });
      at("case 7");
      await new Promise<void>((resolve) => later = resolve);
      tell({ row: 2 });
      at("case 8");
    }),
    part("behind it", () => Promise.reject(new Error("it was made"))),
  ], { deadline: passed + 20, end: passed + 40, keep: () => {} });
  passed = performance.now() - passed;
  assert.ok(passed >= 39, `${passed} ms`);
  later!();
  await new Promise((next) => setTimeout(next, 1));
  const [hangs, behind] = findings.sections;
  assert.deepEqual([hangs!.state, hangs!.at, hangs!.rows], ["cut off", "case 7", [{ row: 1 }]]);
  assert.match(hangs!.reason!, /the driver had not come back/);
  assert.equal(behind!.state, "skipped");
  assert.match(markdownOf(findings), /## hangs: cut off\n\n.*; at case 7; the driver had not/);
});

Deno.test("nothing is begun in a check's last tenth, nor in its last twenty seconds", () => {
  const tailOf = (minutes: number) => {
    const { deadline, end } = timesOf(minutes);
    assert.ok(Math.abs(end - performance.now() - 60_000 * minutes) < 1000);
    return Math.round(end - deadline);
  };
  assert.deepEqual([1, 3, 5, 15].map(tailOf), [6000, 18_000, 20_000, 20_000]);
});
