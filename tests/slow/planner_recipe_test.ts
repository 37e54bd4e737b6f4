// Slow: makes every step of a recipe, of stages that only pretend, again and again.
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { parse, stringify } from "yaml";
import type { PlannedStep } from "../../pipeline/event.ts";
import { readManifest } from "../../pipeline/manifest/read_manifest.ts";
import { plan } from "../../pipeline/plan/plan.ts";
import { run } from "../../pipeline/run/runner.ts";
import type { AnyStage, Job, Registry } from "../../pipeline/stage.ts";
import { Store } from "../../pipeline/store/store.ts";
import * as modelStages from "../../stages/mod.ts";

/** Stages that write some small files, the same ones for the same parameters and inputs. */
const FAKE: Registry = Object.fromEntries(
  Object.entries(modelStages as Registry).map(([name, stage]) => [name, { ...stage, run: fake }]),
);
const QOQ = await Deno.readTextFile(new URL("../../configs/qoq.yaml", import.meta.url));
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
