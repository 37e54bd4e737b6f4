import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { z } from "zod";
import type { PlannedStep } from "../../../pipeline/event.ts";
import type { Bounds } from "../../../pipeline/plan/preflight.ts";
import type { Facts, Forecast, Registry, Stage } from "../../../pipeline/stage.ts";
import { planText } from "../../../pipeline/tell/terminal/tables.ts";
import { callProgram } from "../../support/cli_call.ts";
import { openProject } from "../../support/toy/project.ts";
import * as toys from "../../support/toy/stages.ts";

/** Facts of the toy kinds: how many steps are behind an artifact. */
interface Depth {
  readonly depth: number;
}

const GB = 1e9;
const PLENTY: Bounds = {
  memoryBytes: 1 * GB,
  hostBytes: 100 * GB,
  deviceBytes: 100 * GB,
  diskBytes: 100 * GB,
};

const gigabytes = z.number().default(0);
const params = z.strictObject({
  device: gigabytes,
  host: gigabytes,
  disk: gigabytes,
  linked: gigabytes,
  work: gigabytes,
  refusal: z.string().optional(),
  /** Of work, where a machine does one a second or so many. */
  seconds: z.number().optional(),
});

/** A number that says what it will take. */
const big: Stage<z.infer<typeof params>, { a: "number?" }, "number"> = {
  about: "Makes a large number.",
  version: 1,
  params,
  inputs: { a: "number?" },
  output: "number",
  example: {},
  forecast({ a }, params, { rates }): Forecast {
    const { device, host, disk, linked, work, refusal, seconds } = params;
    if (refusal !== undefined) throw new TypeError(refusal);
    return {
      deviceBytes: device * GB,
      hostBytes: host * GB,
      diskBytes: disk * GB,
      linkedBytes: linked * GB,
      workBytes: work * GB,
      ...rates !== undefined && seconds !== undefined && { seconds: seconds / Number(rates) },
      facts: { depth: 1 + (a ? depthOf(a) : 0) } satisfies Depth,
    };
  },
  run: (job, _, params) => Deno.writeTextFile(`${job.out}/number`, JSON.stringify(params)),
};

/** A number that takes a GB of memory for every step behind its inputs. */
const gather: Stage<Record<string, never>, { all: "number[]" }, "number"> = {
  about: "Gathers numbers.",
  version: 1,
  params: z.strictObject({}) as z.ZodType<Record<string, never>>,
  inputs: { all: "number[]" },
  output: "number",
  example: {},
  forecast({ all }) {
    const depth = all.reduce((sum, facts) => sum + depthOf(facts), 0);
    return { deviceBytes: 0, hostBytes: depth * GB, diskBytes: 0, facts: { depth } };
  },
  run: (job) => Deno.writeTextFile(`${job.out}/number`, "1"),
};

function depthOf(facts: Facts): number {
  return (facts as Depth).depth;
}

const STAGES: Registry = { ...toys, big, gather };

type Step = Readonly<Record<string, unknown>>;

/** A manifest of steps of the stage `big`, unless they say another. */
function manifest(steps: Readonly<Record<string, Step>>): string {
  const all = Object.entries(steps).map(([name, { stage = "big", from = {}, ...params }]) =>
    [name, { stage, from, with: params }] as const
  );
  return JSON.stringify({ steps: Object.fromEntries(all) });
}

function states(rows: readonly PlannedStep[]): Record<string, string> {
  return Object.fromEntries(rows.map(({ name, state }) => [name, state]));
}

function reasonOf(rows: readonly PlannedStep[], name: string): string {
  return rows.find((row) => row.name === name)!.reason;
}

/** What a bound refuses, in words; the rest of the bounds is ample. */
const REFUSALS: readonly (readonly [what: string, Step, Partial<Bounds>, message: RegExp])[] = [
  [
    "host memory",
    { host: 12.1, device: 3 },
    { hostBytes: 8 * GB },
    /^Cannot fit step "it" in memory: it takes 12 GB at its peak, expected at most 8\.0 GB; free some memory, or say a larger --memory/,
  ],
  [
    "device memory",
    { host: 9, device: 81 },
    { deviceBytes: 80 * GB },
    /^Cannot fit step "it" on the device: it takes 81 GB at its peak, expected at most 80 GB; lower --memory/,
  ],
  [
    "memory that the device shares with the host",
    { host: 3, device: 6 },
    { hostBytes: 8 * GB, deviceBytes: "host" },
    /in memory: it takes 9\.0 GB at its peak, 6\.0 GB as the device, expected at most 8\.0 GB/,
  ],
  [
    "the disk",
    { disk: 4.1 },
    { diskBytes: 1.2 * GB },
    /^Cannot fit step "it" on the disk: it writes 4\.1 GB and 1\.2 GB are free in .*store, expected 4\.1 GB; free some, run gc, or choose another --store$/,
  ],
  [
    "the disk with what lies beside the artifact while it is made",
    { disk: 1, work: 0.5 },
    { diskBytes: 1.2 * GB },
    /it writes 1\.5 GB and 1\.2 GB are free/,
  ],
  [
    "memory and disk at once",
    { host: 9, disk: 2 },
    { hostBytes: 8 * GB, diskBytes: 1 * GB },
    /^Cannot fit step "it" in memory: .*; nor on the disk: it writes 2\.0 GB/,
  ],
];

for (const [what, params, bounds, message] of REFUSALS) {
  Deno.test(`a run refuses with numbers what exceeds ${what}, before any work`, async () => {
    await using project = await openProject(STAGES);
    const text = manifest({
      other: { stage: "constant", value: 1 },
      it: { ...params, from: { a: "first" } },
      first: {},
      behind: { from: { a: "it" } },
    });
    const rows = await project.plan(text, { bounds: () => ({ ...PLENTY, ...bounds }) });
    deepStrictEqual(states(rows), {
      other: "run",
      first: "run",
      it: "blocked",
      behind: "blocked",
    });
    match(reasonOf(rows, "it"), message);
    strictEqual(reasonOf(rows, "behind"), 'depends on "it"');

    const run = await project.run(text, { bounds: () => ({ ...PLENTY, ...bounds }) });
    strictEqual(run.summary.ok, false);
    // What leads to it alone is not begun; what has nothing to do with it is made.
    deepStrictEqual(run.states, {
      other: "run",
      first: "blocked",
      it: "failed",
      behind: "blocked",
    });
    const begun = run.events.flatMap((event) => event.type === "start" ? [event.step] : []);
    deepStrictEqual(begun, ["other"]);
    const failed = run.events.flatMap((event) => event.type === "failed" ? [event.message] : []);
    strictEqual(failed.length, 1);
    match(failed[0]!, message);

    const ample = await project.run(text, { bounds: () => PLENTY });
    strictEqual(ample.summary.ok, true, "with more room nothing is refused");
  });
}

Deno.test("what is wanted of a step besides is held against what is known of all before any work", async () => {
  await using project = await openProject(STAGES);
  const text = manifest({ first: {}, it: { from: { a: "first" } } });
  const wanting = (most: number) => ({
    bounds: () => PLENTY,
    demand: {
      step: "it",
      async check(factsOf: (step: string) => Promise<Facts | undefined>) {
        const depths = await Promise.all(["first", "it"].map(factsOf));
        deepStrictEqual(depths, [{ depth: 1 }, { depth: 2 }]);
        if (most < 2) throw new TypeError("Cannot go so deep: it is 2, expected 1");
      },
    },
  });
  const refused = await project.run(text, wanting(1));
  deepStrictEqual(refused.states, { first: "blocked", it: "failed" });
  deepStrictEqual(refused.events.filter(({ type }) => type === "start"), []);
  const [failed] = refused.events.flatMap((event) => event.type === "failed" ? [event] : []);
  strictEqual(failed?.message, "Cannot go so deep: it is 2, expected 1");
  strictEqual((await project.run(text, wanting(2))).summary.ok, true);
});

Deno.test("how long steps take is predicted by the machine's speed, unless an earlier run tells", async () => {
  await using project = await openProject(STAGES);
  const text = manifest({ a: { seconds: 30, disk: 0.2 }, b: { from: { a: "a" }, disk: 0.1 } });
  let measured = 0;
  const bounds = () => ({ ...PLENTY, measure: () => Promise.resolve(++measured && 10) });
  const estimates = async (options: Parameters<typeof project.plan>[1]) =>
    (await project.plan(text, { bounds, ...options })).map(({ estimate }) => estimate);
  deepStrictEqual(await estimates({}), [undefined, undefined]);
  deepStrictEqual([await estimates({ timing: "always" }), measured], [
    [{ seconds: 3, bytes: 0.2 * GB, predicted: true }, undefined],
    1,
  ]);
  // 300 MB are written in all: that is worth a measurement. A tenth of it is not.
  deepStrictEqual((await estimates({ timing: "large" }))[0]?.seconds, 3);
  const small = await project.plan(text, { bounds, timing: "large", set: ["a.disk=0.1"] });
  deepStrictEqual([small[0]?.estimate, measured], [undefined, 2]);
  const { summary } = await project.run(text, { bounds });
  ok(summary.ok);
  const [known] = await estimates({ timing: "always", force: new Set(["a"]) });
  ok(known && !("predicted" in known) && known.seconds < 3, "the run that was made tells");
});

Deno.test("the disk must hold what all steps leave, at the first one that does not fit", async () => {
  await using project = await openProject(STAGES);
  const text = manifest({
    a: { disk: 4, work: 5 },
    b: { disk: 3, from: { a: "a" } },
    c: { disk: 4, linked: 4, from: { a: "b" } },
    d: { disk: 3, from: { a: "c" } },
    e: { disk: 3, from: { a: "d" } },
  });
  const plan = (free: number) =>
    project.plan(text, { bounds: () => ({ ...PLENTY, diskBytes: free * GB }) });
  // 13 GB stay: the work of the first is gone, and the third's files are links.
  deepStrictEqual(states(await plan(13)), { a: "run", b: "run?", c: "run?", d: "run?", e: "run?" });
  const rows = await plan(12);
  strictEqual(reasonOf(rows, "d"), 'depends on "c"');
  match(
    reasonOf(rows, "e"),
    /it writes 3\.0 GB behind 10 GB of steps before it and 12 GB are free/,
  );
  match(reasonOf(await plan(8), "a"), /it writes 9\.0 GB and 8\.0 GB are free/);
});

Deno.test("a stage without forecast, and what is behind it, is unknown and never refused", async () => {
  await using project = await openProject(STAGES);
  const text = manifest({
    unknown: { stage: "constant", value: 2 },
    behind: { host: 900, from: { a: "unknown" } },
    alone: { host: 1 },
  });
  const rows = await project.plan(text, { bounds: () => PLENTY });
  deepStrictEqual(states(rows), { unknown: "run", behind: "run?", alone: "run" });
  deepStrictEqual(rows.map(({ forecast }) => forecast?.hostBytes), [undefined, undefined, GB]);
  const run = await project.run(text, { bounds: () => PLENTY });
  strictEqual(run.summary.ok, true);
});

Deno.test("what a forecast throws is a refusal only if it is a sentence", async () => {
  await using project = await openProject(STAGES);
  const plan = async (refusal: string) => {
    const text = manifest({ it: { refusal }, next: { from: { a: "it" } } });
    return await project.plan(text, { bounds: () => PLENTY });
  };
  const refused = await plan("Cannot add what is odd: it is odd, expected even");
  deepStrictEqual(states(refused), { it: "blocked", next: "blocked" });
  strictEqual(reasonOf(refused, "it"), "Cannot add what is odd: it is odd, expected even");
  const broken = await plan("x is not a function");
  deepStrictEqual(states(broken), { it: "run", next: "run?" });
});

Deno.test("facts are asked of reused artifacts that a step needs which is made, and of no others", async () => {
  await using project = await openProject(STAGES);
  const text = (last: string) =>
    manifest({
      a: {},
      b: { host: 1, from: { a: "a" } },
      other: {},
      all: { stage: "gather", from: { all: ["a", "b", last] } },
    });
  await project.run(text("a"), { bounds: () => PLENTY });
  const asked: string[] = [];
  let bounded = 0;
  const options = {
    facts: ({ path }: { readonly path: string }): Promise<Facts> => {
      asked.push(path);
      return Promise.resolve({ depth: 3 } satisfies Depth);
    },
    bounds: () => {
      bounded++;
      return { ...PLENTY, hostBytes: 8 * GB };
    },
  };
  const same = await project.plan(text("a"), options);
  deepStrictEqual(states(same), { a: "hit", b: "hit", other: "hit", all: "hit" });
  deepStrictEqual([asked.length, bounded], [0, 0], "a plan that makes nothing looks at nothing");
  const rows = await project.plan(text("b"), options);
  deepStrictEqual([asked.length, bounded], [2, 1], "once an artifact");
  deepStrictEqual(states(rows), { a: "hit", b: "hit", other: "hit", all: "blocked" });
  match(reasonOf(rows, "all"), /takes 9\.0 GB/);
  const unreadable = await project.plan(text("b"), {
    ...options,
    facts: () => Promise.reject(new Error("no header")),
  });
  strictEqual(states(unreadable).all, "run", "an artifact without facts makes its readers unknown");
  const forced = await project.plan(text("b"), { ...options, force: new Set(["a", "b"]) });
  match(reasonOf(forced, "all"), /^depends on/, "one step and two behind one another: 5 GB");
  strictEqual(forced.find(({ name }) => name === "all")?.forecast?.hostBytes, 5 * GB);
});

Deno.test("memory of this machine does not bind what others do, but the disk does", async () => {
  await using project = await openProject(STAGES);
  const bounds = () => ({ ...PLENTY, hostBytes: GB, deviceBytes: GB, diskBytes: 5 * GB });
  const executor = { width: 1, make: () => Promise.reject(new Error("not reached")) };
  const run = await project.run(manifest({ it: { host: 9, device: 9, disk: 9 } }), {
    bounds,
    executor,
  });
  const [failed] = run.events.flatMap((event) => event.type === "failed" ? [event.message] : []);
  match(failed!, /^Cannot fit step "it" on the disk: it writes 9\.0 GB/);
});

Deno.test("stages forecast for the limits of this machine's device, and for none where others work", async () => {
  const asked: unknown[] = [];
  const stages: Registry = {
    ...STAGES,
    big: {
      ...big,
      forecast(_inputs, _params, { limits }) {
        asked.push(limits);
        return { deviceBytes: 0, hostBytes: 0, diskBytes: 0, facts: { depth: 1 } };
      },
    } satisfies typeof big,
  };
  await using project = await openProject(stages);
  const bounds = () => ({ ...PLENTY, limits: { lanes: 8 } });
  const executor = { width: 1, make: () => Promise.reject(new Error("elsewhere")) };
  await project.run(manifest({ it: {} }), { bounds, executor });
  await project.run(manifest({ it: {} }), { bounds });
  deepStrictEqual(asked, [undefined, { lanes: 8 }]);
});

Deno.test("a plan shows what steps take, and in all", async () => {
  await using project = await openProject(STAGES);
  const text = manifest({
    a: { device: 1.5, host: 2, disk: 0.004 },
    b: { host: 3, disk: 5, from: { a: "a" } },
    c: { stage: "constant", value: 1 },
  });
  const rows = await project.plan(text, { bounds: () => PLENTY });
  const screen = { columns: 0, color: false, write: () => {}, error: () => {} };
  const lines = planText(rows, screen as never).split("\n");
  match(lines[0]!, /^step +stage +state +device +host +disk +reason$/);
  match(lines.find((line) => line.startsWith("a "))!, /run +1\.5 GB +2\.0 GB +4\.0 MB +not made/);
  match(lines.find((line) => line.startsWith("c "))!, /run +\? +\? +\? +not made/);
  ok(
    lines.includes(
      "At most 1.5 GB on the device and 3.0 GB on the host at a time, 5.0 GB on the disk in all",
    ),
  );
});

Deno.test("a plan and a run say what steps are made on, where some are and it is here", async () => {
  await using project = await openProject(STAGES);
  const text = manifest({ it: {} });
  await Deno.writeTextFile(project.path, text);
  const bounds = () => ({ ...PLENTY, machine: "an abacus" });
  const call = (...args: string[]) =>
    callProgram({ stages: STAGES, bounds }, ...args, project.path, "--store", `${project.path}.d`);
  const said = "\nSteps are made on an abacus\n";
  ok((await call("plan")).out.includes(said));
  strictEqual(JSON.parse((await call("plan", "--json")).out).machine, "an abacus");
  const [first, ...rest] = (await call("run", "--force=it")).out.split("\n");
  strictEqual(first, said.trim());
  strictEqual(rest.includes(said.trim()), false);
  // Nothing is made any more.
  strictEqual((await call("plan")).out.includes("abacus"), false);
  strictEqual("machine" in JSON.parse((await call("plan", "--json")).out), false);
  const executor = { width: 1, make: () => Promise.reject(new Error("elsewhere")) };
  const plans = async (options: object) =>
    (await project.run(text, { bounds, force: new Set(["it"]), ...options })).events
      .flatMap((event) => event.type === "plan" ? [event.machine] : []);
  deepStrictEqual(await plans({}), ["an abacus"]);
  deepStrictEqual(await plans({ executor }), [undefined]);
});

Deno.test("without bounds the free memory and the free disk are what there is", async () => {
  await using project = await openProject(STAGES);
  const memory = await project.plan(manifest({ it: { host: 1e6 } }));
  match(
    reasonOf(memory, "it"),
    /in memory: it takes 1000 TB at its peak, expected at most [\d.]+ [GT]B/,
  );
  const disk = await project.plan(manifest({ it: { disk: 1e9 } }));
  match(reasonOf(disk, "it"), /it writes \d+ TB and [\d.]+ [GMT]B are free in/);
  strictEqual(states(await project.plan(manifest({ it: { host: 0.001, disk: 0.001 } }))).it, "run");
});
