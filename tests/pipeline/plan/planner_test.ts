import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { PlannedStep } from "../../../pipeline/event.ts";
import { readManifest } from "../../../pipeline/manifest/read_manifest.ts";
import { plan } from "../../../pipeline/plan/plan.ts";
import { Store } from "../../../pipeline/store/store.ts";
import { planText } from "../../../pipeline/tell/terminal/tables.ts";
import { openProject } from "../../support/toy/project.ts";
import * as toyStages from "../../support/toy/stages.ts";

const CHAIN = `
params: { value: 1, by: 3, pause: 30 }
steps:
  one: { stage: constant, with: { value: "\${value}" } }
  two: { stage: add, from: { a: one }, with: { by: "\${by}", parts: 5, pause: "\${pause}" } }
  rest: { stage: parity, from: { a: two } }
  end: { stage: add, from: { a: rest }, with: { by: 10 } }
`;

function shownRows(rows: readonly PlannedStep[]): string[] {
  return rows.map(({ name, state, reason }) => `${name} ${state}: ${reason}`);
}

Deno.test("`plan()` names the files of an input that are other ones, as long as the old ones are there", async () => {
  await using project = await openProject();
  await project.run(CHAIN);
  const { events } = await project.run(CHAIN, { set: ["by=4"] });
  // Five parts are the same, the number is not.
  const start = events.find((event) => event.type === "start" && event.step === "rest");
  strictEqual(
    start?.type === "start" && start.reason,
    'input "a" changed: 1 of 6 files (number)',
  );
  const cut = CHAIN.replace("parts: 5", "parts: 1");
  const { events: less } = await project.run(cut, { set: ["by=4"] });
  const reasons = less.flatMap((event) => event.type === "start" ? event.reason : []);
  deepStrictEqual(reasons, [
    "parts 5 → 1",
    'input "a" changed: 4 of 6 files (part2, part3, part4, …)',
  ]);
  const two = less.find((event) => event.type === "done" && event.step === "two");
  await Deno.remove(two?.type === "done" ? two.path : "", { recursive: true });
  const { events: gone } = await project.run(cut, { set: ["by=6"] });
  match(
    gone.flatMap((event) => event.type === "start" ? event.reason : [])[1] ?? "",
    /^input "a" changed: [0-9a-f]{8}… → [0-9a-f]{8}…$/,
  );
});

Deno.test("`plan()` estimates from the last run of the step, and from steps of other manifests with the same parameters", async () => {
  await using project = await openProject();
  const [fresh] = await project.plan(CHAIN);
  strictEqual(fresh?.estimate, undefined);
  const { events } = await project.run(CHAIN);
  const done = events.find((event) => event.type === "done" && event.step === "two");
  ok(done?.type === "done" && done.seconds >= 0.15);
  const rows = await project.plan(CHAIN, { set: ["by=4"] });
  const two = rows[1]?.estimate;
  // Parts of 1 to 5 bytes, and the digit of the number.
  deepStrictEqual(two, { seconds: done.seconds, bytes: 1 + 2 + 3 + 4 + 5 + 1 });
  strictEqual(rows[0]?.estimate, undefined, "what is reused takes nothing");
  ok(rows[2]?.estimate, "what may run is estimated, too");
  // A reuse takes no time, which says nothing of what making takes.
  await project.run(CHAIN);
  deepStrictEqual((await project.plan(CHAIN, { set: ["by=4"] }))[1]?.estimate, two);

  await Deno.writeTextFile(`${project.directory}/other.yaml`, CHAIN);
  const other = await readManifest(`${project.directory}/other.yaml`, {
    stages: toyStages,
    set: ["value=2", "end.by=11"],
  });
  const store = new Store(`${project.directory}/store`);
  const { steps } = await plan(other, { store, stages: toyStages });
  const known = steps.map(({ name, estimate }) => [name, estimate?.bytes]);
  deepStrictEqual(known, [["one", undefined], ["two", 16], ["rest", 1], ["end", undefined]]);
});

Deno.test("`plan()` says what one of two equal steps finds", async () => {
  await using project = await openProject();
  const text = `
steps:
  a: { stage: constant, with: { value: 1 } }
  b: { stage: constant, with: { value: 1 } }
  sum: { stage: add, from: { a: a, b: b } }
`;
  deepStrictEqual(shownRows(await project.plan(text)), [
    "a run: not made before",
    'b run?: the same as "a"',
    'sum run?: depends on "a" and "b"',
  ]);
  const { states } = await project.run(text);
  deepStrictEqual(states, { a: "run", b: "hit", sum: "run" });
  deepStrictEqual(
    shownRows(await project.plan(text, { force: new Set(["a", "b"]) })).slice(0, 2),
    ["a forced: asked for", "b forced: asked for"],
  );
});

Deno.test("`plan()` and `run()` agree on artifacts that only a remote store has", async () => {
  await using project = await openProject();
  await project.run(CHAIN);
  const source = `${project.directory}/store`;
  const remote = {
    name: "shared",
    has: (key: string) => Deno.stat(`${source}/artifacts/${key}`).then(() => true, () => false),
    record: async (key: string) =>
      JSON.parse(await Deno.readTextFile(`${source}/artifacts/${key}/artifact.json`)),
    fetch: async (key: string, to: string) => {
      const from = `${source}/artifacts/${key}`;
      for await (const { name } of Deno.readDir(from)) {
        await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
      }
      return true;
    },
    push: () => Promise.resolve(),
  };
  const path = `${project.directory}/here`;
  const store = () => new Store(path, { remote });
  const rows = await project.plan(CHAIN, { store: store() });
  deepStrictEqual(rows.map(({ state }) => state), Array(4).fill("hit (remote)"));
  const { states } = await project.run(CHAIN, { store: store() });
  deepStrictEqual(states, { one: "hit", two: "hit", rest: "hit", end: "hit" });
  deepStrictEqual(
    (await project.plan(CHAIN, { store: store() })).map(({ state }) => state),
    Array(4).fill("hit"),
  );
});

const screen = { write: () => {}, error: () => {}, columns: 0, color: false };

Deno.test("`planText()` sums up what runs take and how much of that is unknown", () => {
  const row = { stage: "add", reason: "by 1 → 2" };
  const rows: PlannedStep[] = [
    { ...row, name: "a", state: "hit", reason: "unchanged" },
    { ...row, name: "b", state: "run", estimate: { seconds: 600, bytes: 1.25e9 } },
    { ...row, name: "c", state: "forced", estimate: { seconds: 120, bytes: 5e7 } },
  ];
  const lines = planText(rows, screen).split("\n");
  match(lines[2] ?? "", /^b +add +run +~10 min 0 s +~1\.3 GB +by 1 → 2$/);
  strictEqual(lines.at(-2), "About 12 min 0 s and 1.3 GB");
  const more = planText([...rows, { ...row, name: "d", state: "run?" }], screen).split("\n");
  match(more[4] ?? "", /^d +add +run\? +\? +\? +by 1 → 2$/);
  strictEqual(
    more.at(-2),
    "At most about 12 min 0 s and 1.3 GB, and 1 step of which no earlier run tells",
  );
  const [, , blank] = planText(rows.slice(0, 1), screen).split("\n");
  strictEqual(blank, "");
});
