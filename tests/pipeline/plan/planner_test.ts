import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { parse, stringify } from "yaml";
import type { PlannedStep } from "../../../pipeline/event.ts";
import { readManifest } from "../../../pipeline/manifest/read_manifest.ts";
import { plan } from "../../../pipeline/plan/plan.ts";
import { run } from "../../../pipeline/run/runner.ts";
import type { AnyStage, Job, Registry } from "../../../pipeline/stage.ts";
import { Store } from "../../../pipeline/store/store.ts";
import { planText } from "../../../pipeline/tell/terminal/tables.ts";
import * as modelStages from "../../../stages/mod.ts";
import { openProject } from "../../support/toy/project.ts";
import * as toyStages from "../../support/toy/stages.ts";

/** Stages that write some small files, the same ones for the same parameters and inputs. */
const FAKE: Registry = Object.fromEntries(
  Object.entries(modelStages as Registry).map(([name, stage]) => [name, { ...stage, run: fake }]),
);
const QOQ = await Deno.readTextFile(new URL("../../../configs/qoq.yaml", import.meta.url));
/** What stands behind `smoothed` in configs/qoq.yaml, read off the file. */
const BEHIND_SMOOTHED = ["smoothed", "w4a8", "w4a8kv4", "qoq", "report"];

async function fake(
  job: Job,
  inputs: Readonly<Record<string, unknown>>,
  params: unknown,
): Promise<void> {
  await Deno.writeTextFile(
    `${job.out}/what`,
    JSON.stringify({ inputs: digestsIn(inputs), params }),
  );
}

function digestsIn(inputs: unknown): unknown {
  return JSON.parse(
    JSON.stringify(inputs, (key, value) => key === "path" || key === "key" ? undefined : value),
  );
}

/** A project with the manifest of QoQ, whose stages write small files. */
async function openQoq(stages: Registry = FAKE) {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/qoq.yaml`;
  const store = `${directory}/store`;
  const read = async (set: readonly string[], text: string) => {
    await Deno.writeTextFile(path, text);
    return await readManifest(path, { stages, set });
  };
  return {
    /** Steps that a run makes; `plan()` is asked before and must have said so. */
    async made(set: readonly string[] = [], { text = QOQ, force = new Set<string>() } = {}) {
      const manifest = await read(set, text);
      const options = { store: new Store(store), stages, force };
      const { steps } = await plan(manifest, options);
      const { steps: ends, ok: well } = await run(manifest, {
        ...options,
        store: new Store(store),
        tools: () => ({}),
        emit: () => {},
      });
      strictEqual(well, true);
      for (const { name, state } of ends) hold(steps.find((row) => row.name === name)!, state);
      return ends.flatMap(({ name, state }) => state === "run" ? [name] : []);
    },
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

function hold({ name, state }: PlannedStep, end: string): void {
  const allowed: Record<string, readonly string[]> = {
    hit: ["hit"],
    run: ["run"],
    forced: ["run"],
    "run?": ["run", "hit"],
  };
  ok(allowed[state]?.includes(end), `${name} was planned as ${state} and ended as ${end}`);
}

Deno.test("a changed parameter of `smooth` in configs/qoq.yaml makes `smooth` and its descendants, and nothing when it is changed back", async () => {
  await using qoq = await openQoq();
  strictEqual((await qoq.made()).length, Object.keys(parse(QOQ).steps).length);
  deepStrictEqual(await qoq.made(), []);
  deepStrictEqual(await qoq.made(["alpha=0.35"]), BEHIND_SMOOTHED);
  deepStrictEqual(await qoq.made(), []);
  deepStrictEqual(await qoq.made(["smoothed.attention.alpha=0.6"]), BEHIND_SMOOTHED);
  deepStrictEqual(await qoq.made(), []);
});

Deno.test("a step of configs/qoq.yaml that is made again with the same bytes stops the wave", async () => {
  const same: AnyStage = {
    ...FAKE.reorder!,
    run: (job: Job) => Deno.writeTextFile(`${job.out}/what`, "the same whatever it is told"),
  };
  await using qoq = await openQoq({ ...FAKE, reorder: same });
  await qoq.made();
  deepStrictEqual(await qoq.made(["reordered.metric=inputs_abs_mean"]), ["reordered"]);
  deepStrictEqual(await qoq.made([], { force: new Set(["source", "stats"]) }), ["source", "stats"]);
});

Deno.test("comments and the order of keys in configs/qoq.yaml change nothing", async () => {
  await using qoq = await openQoq();
  await qoq.made();
  const turned = `# another comment\n${stringify(turnKeys(parse(QOQ)))}`;
  ok(turned.indexOf("report:") < turned.indexOf("source:"), "the order is another one");
  deepStrictEqual(await qoq.made([], { text: turned }), []);
  const loud = QOQ.replaceAll(/^( +)stage:/gm, "$1# why\n$1stage:");
  ok(loud.length > QOQ.length);
  deepStrictEqual(await qoq.made([], { text: loud }), []);
});

/** The same data with all keys in the opposite order. */
function turnKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(turnKeys);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).toReversed().map(([name, item]) => [name, turnKeys(item)]),
  );
}

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
