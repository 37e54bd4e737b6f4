import * as toyStages from "../../support/toy/stages.ts";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { tryLock } from "../../../pipeline/store/lock.ts";
import { collect, usualCap } from "../../../pipeline/store/collect.ts";
import { freeBytes } from "../../../pipeline/store/trouble.ts";
import { evictedText } from "../../../pipeline/tell/terminal.ts";
import type { Job, Registry } from "../../../pipeline/stage.ts";
import { callProgram } from "../../support/cli_call.ts";
import { writeNumber } from "../../support/toy/number.ts";
import { toyCommand } from "../../support/toy/command.ts";
import { until } from "../../support/wait.ts";

/** Keeps a part in its journal, then fails if it is told to. */
const kept = {
  ...toyStages.constant,
  params: z.strictObject({ value: z.number(), break: z.boolean().default(false) }),
  places: ["break"],
  run: async (job: Job, _: unknown, params: { value: number; break: boolean }) => {
    await job.journal.write("part", new Uint8Array(1000));
    if (params.break) throw new Error("Cannot go on");
    await writeNumber(job.out, params.value);
  },
};
const STAGES: Registry = { ...toyStages, kept };

/** A value, and files of 1 to `parts` bytes that grow out of it. */
const TWO_STEPS = `
params: { value: 1, parts: 3 }
steps:
  one: { stage: constant, with: { value: "\${value}" } }
  two: { stage: add, from: { a: one }, with: { parts: "\${parts}", by: "\${value}" } }
`;

class Project implements AsyncDisposable {
  readonly directory: string;
  readonly store: string;

  constructor(directory: string) {
    this.directory = directory;
    this.store = `${directory}/store`;
  }

  async write(name: string, text: string): Promise<void> {
    await Deno.writeTextFile(`${this.directory}/${name}`, text);
  }

  /** Uses a command in this process; gives its JSON lines. */
  async call(command: string, ...args: readonly string[]) {
    const asked = [command, ...args, "--json", "--store", this.store];
    const { status, out, errors } = await callProgram({ stages: STAGES }, ...asked);
    const lines = out.split("\n").filter(Boolean).map((line) => JSON.parse(line));
    return { status, errors, lines };
  }

  /** Runs a manifest; gives the keys of its steps. */
  async run(name: string, ...args: readonly string[]) {
    const { status, lines } = await this.call("run", `${this.directory}/${name}`, ...args);
    const results = lines.filter(({ type }) => type === "done" || type === "reuse");
    const keys = Object.fromEntries(results.map(({ step, key }) => [step, String(key)]));
    const states = lines.at(-1).steps.map(({ state }: { state: string }) => state).join(" ");
    return { status, lines, states, one: keys.one ?? "", two: keys.two ?? "" };
  }

  async gc(...args: readonly string[]) {
    const { status, lines, errors } = await this.call("gc", ...args);
    const { removals = [], ...facts } = lines.at(-1) ?? {};
    const names = removals.map(({ room, name }: { room: string; name: string }) => [room, name]);
    return { status, errors, removals, names, ...facts };
  }

  async list(room: string): Promise<string[]> {
    const entries = Array.fromAsync(Deno.readDir(`${this.store}/${room}`), ({ name }) => name);
    return (await entries.catch(() => [])).sort();
  }

  /** Bytes of the rooms that a collection counts, each inode once, as `du` counts them. */
  async size(): Promise<number> {
    const rooms = ["artifacts", "quarantine", "tmp", "journal", "files"];
    const there = [];
    for (const room of rooms) if ((await this.list(room)).length > 0) there.push(room);
    const files = (await new Deno.Command("find", {
      args: [...there, "-type", "f", "-printf", "%i %s\n"],
      cwd: this.store,
    }).output()).stdout;
    const lines = new Set(new TextDecoder().decode(files).split("\n").filter(Boolean));
    return [...lines].reduce((sum, line) => sum + Number(line.split(" ")[1]), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

async function openProject(): Promise<Project> {
  const project = new Project(await Deno.makeTempDir());
  await project.write("a.yaml", TWO_STEPS);
  return project;
}

Deno.test("`gc` removes what the last good run of no manifest uses, and counts what that frees", async () => {
  await using project = await openProject();
  const first = await project.run("a.yaml");
  await project.write("b.yaml", TWO_STEPS);
  await project.run("b.yaml", "--set", "value=7");
  const last = await project.run("a.yaml", "--set", "value=2");
  const before = await project.size();
  const dry = await project.gc("--dry-run");
  deepStrictEqual(
    dry.names,
    // Used at one time: the one that was made last goes first.
    [first.two, first.one].map((key) => ["artifacts", key]),
  );
  strictEqual(await project.size(), before);
  strictEqual(dry.before, before);
  const { removals, after, artifacts, reachable } = await project.gc();
  deepStrictEqual(removals, dry.removals);
  strictEqual(await project.size(), after);
  strictEqual(dry.after, after);
  deepStrictEqual([artifacts, reachable], [4, 4]);
  for (const room of ["artifacts", "locks"]) strictEqual((await project.list(room)).length, 4);
  strictEqual((await project.run("a.yaml", "--set", "value=2")).states, "hit hit");
  strictEqual((await project.run("b.yaml", "--set", "value=7")).states, "hit hit");
  const again = await project.run("a.yaml");
  deepStrictEqual([again.states, again.two], ["run run", first.two]);
  strictEqual(last.status, 0);
});

Deno.test("`gc` frees a file with the last artifact that has it", async () => {
  await using project = await openProject();
  await project.run("a.yaml", "--set", "parts=60");
  await project.run("a.yaml", "--set", "parts=61");
  const { removals } = await project.gc();
  strictEqual(removals.length, 1);
  // Of its 60 files the other artifact has all; only the record is its own.
  ok(removals[0].bytes > 0 && removals[0].bytes < 20_000, `${removals[0].bytes} bytes`);
  const record = removals[0].bytes;
  await project.run("a.yaml", "--set", "parts=60");
  await project.run("a.yaml", "--set", "parts=1");
  const both = await project.gc();
  const files = 61 * 62 / 2 - 1;
  // The number each of them holds is one file, "2", which the last run has as well.
  const freed = both.removals.reduce((sum: number, { bytes }: { bytes: number }) => sum + bytes, 0);
  ok(freed > files + record, `${freed} bytes`);
  strictEqual(both.before - both.after, freed);
  strictEqual(await project.size(), both.after);
});

Deno.test("`gc` keeps what runs since the last good one can go on from", async () => {
  await using project = await openProject();
  const good = await project.run("a.yaml");
  await project.write("a.yaml", `${TWO_STEPS}  bad: { stage: fail, from: { a: two } }\n`);
  const lost = await project.run("a.yaml", "--set", "value=2");
  const failed = await project.run("a.yaml", "--set", "value=3");
  strictEqual(failed.states, "run run failed");
  // Good, but not a run of the whole manifest.
  const part = await project.run("a.yaml", "--set", "value=4", "--only", "one");
  strictEqual(part.status, 0);
  const { names, reachable } = await project.gc();
  deepStrictEqual(names.map(([, name]: string[]) => name).sort(), [lost.one, lost.two].sort());
  strictEqual(reachable, 5);
  for (const key of [good.one, good.two, failed.one, failed.two, part.one]) {
    ok((await project.list("artifacts")).includes(key));
  }
});

Deno.test("`gc` keeps the journal of a run that can go on, and no other", async () => {
  await using project = await openProject();
  const step = (value: number) =>
    `steps: { a: { stage: kept, with: { value: ${value}, break: true } } }`;
  await project.write("a.yaml", step(1));
  await project.run("a.yaml");
  await project.write("b.yaml", step(2));
  await project.run("b.yaml");
  await project.write("b.yaml", step(3));
  await project.run("b.yaml");
  strictEqual((await project.list("journal")).length, 3);
  const { names, before, after } = await project.gc();
  deepStrictEqual(names.map(([room]: string[]) => room), ["journal"]);
  // Key, checksum and length, the name of no machine, each with its end, and the content.
  strictEqual(before - after, 64 + 1 + 8 + 1 + 15 + 1 + 1 + 1000);
  strictEqual((await project.list("journal")).length, 2);
  strictEqual((await project.gc("--keep-days", "0")).removals.length, 0);
});

Deno.test("`gc` removes damaged artifacts, orphans, and what the dead have left", async () => {
  await using project = await openProject();
  const { one, two } = await project.run("a.yaml");
  const { store } = project;
  await Deno.remove(`${store}/artifacts/${one}/number`);
  await project.run("a.yaml");
  strictEqual((await project.list("quarantine")).length, 1);
  const dead = "d".repeat(64);
  await Deno.mkdir(`${store}/tmp/${dead}.1.x`);
  await Deno.writeTextFile(`${store}/tmp/${dead}.1.x/half`, "half");
  await Deno.mkdir(`${store}/tmp/${"e".repeat(64)}.1.x`);
  using _held = await tryLock(`${store}/locks/${"e".repeat(64)}`);
  await Deno.mkdir(`${store}/files/ab`);
  await Deno.writeTextFile(`${store}/files/ab/orphan`, "orphan");
  await Deno.writeTextFile(`${store}/verified/${dead}.json`, "{}");
  await Deno.mkdir(`${store}/owed`);
  for (const key of [one, dead]) await Deno.writeTextFile(`${store}/owed/${key}.json`, "{}");
  const { names } = await project.gc();
  deepStrictEqual(names.map(([room]: string[]) => room).sort(), ["files", "quarantine", "tmp"]);
  deepStrictEqual(await project.list("quarantine"), []);
  deepStrictEqual(await project.list("tmp"), [`${"e".repeat(64)}.1.x`]);
  deepStrictEqual(await project.list("files/ab"), []);
  deepStrictEqual(await project.list("verified"), [`${one}.json`, `${two}.json`].sort());
  deepStrictEqual(await project.list("owed"), [`${one}.json`]);
  deepStrictEqual((await project.gc()).removals, []);
  strictEqual((await project.run("a.yaml")).states, "hit hit");
});

Deno.test("`gc` goes by --max-size, --keep, --keep-days and --forget", async () => {
  await using project = await openProject();
  const runs = [];
  for (const value of [1, 2, 3]) {
    runs.push(await project.run("a.yaml", "--set", `value=${value}`));
    await sleep(5);
  }
  const [first, second] = runs;
  ok(first && second);
  const { before } = await project.gc("--dry-run");
  // One byte too many: the artifact that was unused for longest is enough.
  const least = await project.gc("--dry-run", "--max-size", String(before - 1));
  deepStrictEqual(least.names, [["artifacts", first.two]]);
  strictEqual((await project.gc("--dry-run", "--max-size", String(before))).removals.length, 0);
  deepStrictEqual((await project.gc("--dry-run", "--keep-days", "1")).removals, []);
  const others = await project.gc(
    ...["--dry-run", "--keep", first.one.slice(0, 20), "--keep", first.two.slice(0, 20)],
  );
  deepStrictEqual(others.names.map(([, name]: string[]) => name), [second.two, second.one]);
  const all = await project.gc("--dry-run", "--forget", `${project.directory}/a.yaml`);
  deepStrictEqual([all.removals.length, all.after], [6, 0]);
  const wrong = [
    [["--keep", "zz"], 'Cannot keep "zz": no artifact\'s key begins so'],
    [
      ["--forget", "b.yaml"],
      `Cannot forget ${Deno.cwd()}/b.yaml: the store remembers no run of it`,
    ],
    [["--keep-days", "x"], 'Cannot read "x" as a number of days'],
  ] as const;
  for (const [args, text] of wrong) {
    const { status, errors } = await project.gc(...args);
    ok(errors.includes(text), errors);
    strictEqual(status, 2);
  }
  strictEqual((await project.list("artifacts")).length, 6);
  await Deno.rename(`${project.directory}/a.yaml`, `${project.directory}/z.yaml`);
  const { manifests, artifacts } = await project.gc();
  deepStrictEqual(manifests, [{ path: `${project.directory}/a.yaml`, there: false }]);
  strictEqual(artifacts, 2);
  await project.gc("--forget", `${project.directory}/a.yaml`);
  deepStrictEqual(await project.list("artifacts"), []);
  deepStrictEqual(await project.list("runs"), []);
});

Deno.test("`gc` makes no store where there is none", async () => {
  await using project = await openProject();
  const { status, errors } = await project.gc();
  deepStrictEqual([status, errors], [
    1,
    `Cannot find a store in ${project.store}: name one with --store\n`,
  ]);
  deepStrictEqual(await project.list(""), []);
});

Deno.test("`run` keeps its store to the cap and never removes what it used", async () => {
  await using project = await openProject();
  const cap = ["--max-size", "1"];
  const first = await project.run("a.yaml", ...cap);
  const told = (run: typeof first) => run.lines.filter(({ type }) => type === "evicted");
  const [full] = told(first);
  deepStrictEqual([full.removals, full.maxBytes, full.freed], [[], 1, 0]);
  strictEqual(full.bytes, await project.size());
  const second = await project.run("a.yaml", "--set", "value=2", ...cap);
  deepStrictEqual(
    told(second)[0].removals.map(({ name, stage }: Record<string, string>) => [name, stage]),
    [[first.two, "add"], [first.one, "constant"]],
  );
  strictEqual(told(second)[0].bytes, await project.size());
  const third = await project.run("a.yaml", "--set", "value=2", ...cap);
  deepStrictEqual([third.states, told(third)], ["hit hit", []]);
  deepStrictEqual(await project.list("artifacts"), [second.one, second.two].sort());
  const free = await project.run("a.yaml", "--set", "value=3", "--max-size", "none");
  deepStrictEqual([free.states, told(free)], ["run run", []]);
});

Deno.test("`run` leaves what is damaged for a day to look at, however large the store is", async () => {
  await using project = await openProject();
  const { one } = await project.run("a.yaml");
  for (const two of ["2", "3"]) {
    await Deno.remove(`${project.store}/artifacts/${one}/number`);
    await project.run("a.yaml", "--set", `two.by=${two}`, "--max-size", "1");
  }
  const [first, second] = await project.list("quarantine");
  ok(first && second);
  const before = new Date(Date.now() - 25 * 3600 * 1000);
  await Deno.utime(`${project.store}/quarantine/${first}`, before, before);
  await project.run("a.yaml", "--set", "two.by=4", "--max-size", "1");
  deepStrictEqual(await project.list("quarantine"), [second]);
});

Deno.test("`evictedText()` says what went, or that nothing could", () => {
  const event = { type: "evicted", freed: 12.34e9, bytes: 98e9, maxBytes: 100e9 } as const;
  const one = { room: "artifacts", name: "k", stage: "add", bytes: 1 };
  strictEqual(
    evictedText({ ...event, removals: [one, { ...one, room: "tmp" }, one] }),
    "removed 2 artifacts that no run uses, 12 GB freed; the store has 98 GB, its cap is 100 GB",
  );
  strictEqual(
    evictedText({ ...event, bytes: 1.5e12, removals: [] }),
    "the store has 1.5 TB, its cap is 100 GB, and all of it is in use; see gc --help",
  );
});

Deno.test("`usualCap()` is 100 GB, or half of what the disk has for the store", async () => {
  const free = await freeBytes("/");
  ok(free !== undefined && free > 0);
  const half = await usualCap("/", 0);
  ok(half <= 100e9 && Math.abs(half - Math.min(100e9, free / 2)) < 5e9, `${half} of ${free}`);
  strictEqual(await usualCap("/", 1e15), 100e9);
});

Deno.test("`gc` puts back what a run has begun to use while it was taken away", async () => {
  await using project = await openProject();
  const first = await project.run("a.yaml");
  await project.run("a.yaml", "--set", "value=2");
  const [room = ""] = await project.list("runs");
  const files = await project.list(`runs/${room}`);
  const records = await Promise.all(
    files.map(async (name) => {
      const path = `${project.store}/runs/${room}/${name}`;
      return JSON.parse(await Deno.readTextFile(path));
    }),
  );
  const { seal: _, ...record } = records.find(({ turn }) => turn === 1);
  // The keys to keep are asked for after the records were read, and before anything goes.
  class Late extends Set<string> {
    override has(key: string): boolean {
      if (key === first.two) {
        const late = { ...record, id: "late", turn: 3, state: "running" };
        Deno.writeTextFileSync(`${project.store}/runs/${room}/late.json`, JSON.stringify(late));
      }
      return super.has(key);
    }
  }
  const { removals } = await collect(project.store, {
    dryRun: false,
    usedSince: Infinity,
    quarantinedSince: Infinity,
    keep: new Late(),
  });
  deepStrictEqual(removals, []);
  strictEqual((await project.list("artifacts")).length, 4);
  deepStrictEqual(await project.list("tmp"), []);
  strictEqual((await project.run("a.yaml")).states, "hit hit");
});

Deno.test("`gc` leaves alone what a run of another process uses", async () => {
  await using project = await openProject();
  const slow = `
params: { value: 1, pause: 0 }
steps:
  one: { stage: constant, with: { value: "\${value}" } }
  two: { stage: add, from: { a: one }, with: { parts: 40, pause: "\${pause}" } }
`;
  await project.write("a.yaml", slow);
  const used = await project.run("a.yaml", "--only", "one");
  await project.run("a.yaml", "--set", "value=2");
  const child = toyCommand(
    ["run", `${project.directory}/a.yaml`, "--set", "pause=5000", "--store", project.store],
    { stdout: "null", stderr: "null" },
  ).spawn();
  try {
    await until(async () => (await project.list("tmp")).length > 0);
    // A later run that is over: the one that goes on is not the last of its manifest.
    await project.run("a.yaml", "--set", "value=2");
    deepStrictEqual((await project.gc()).removals, []);
    const forget = await project.gc("--forget", `${project.directory}/a.yaml`);
    strictEqual(forget.status, 1);
    match(forget.errors, /^Cannot forget .*a\.yaml: process \d+ is running it; stop it first$/m);
    ok((await project.list("artifacts")).includes(used.one));
    strictEqual((await project.list("tmp")).length, 1);
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
  const { names } = await project.gc();
  deepStrictEqual(names.map(([room]: string[]) => room).sort(), ["artifacts", "tmp"]);
  ok(!(await project.list("artifacts")).includes(used.one));
});
