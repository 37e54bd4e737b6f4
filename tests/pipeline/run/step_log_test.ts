import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { RunEvent } from "../../../pipeline/event.ts";
import { parseManifest } from "../../../pipeline/manifest/read_manifest.ts";
import { logPath } from "../../../pipeline/run/step_log.ts";
import { run } from "../../../pipeline/run/runner.ts";
import type { Job } from "../../../pipeline/stage.ts";
import { Store } from "../../../pipeline/store/store.ts";
import { writeNumber } from "../../support/toy/number.ts";
import { stageOf } from "../../support/toy/stage.ts";

interface Tried {
  readonly events: readonly RunEvent[];
  readonly store: string;
  /** Files below `logs/`. */
  readonly logs: readonly string[];
}

/** Runs a manifest with one stage, `work`, in a store that stays for the next try. */
async function withStore(
  use: (
    attempt: (
      work: (job: Job) => Promise<void>,
      how?: { signal?: AbortSignal; tools?: unknown },
    ) => Promise<Tried>,
  ) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  const store = `${directory}/store`;
  try {
    await use(async (work, { signal, tools } = {}) => {
      const stages = { work: stageOf({ run: (job: Job) => work(job) }) };
      const path = `${directory}/a.yaml`;
      const events: RunEvent[] = [];
      await run(parseManifest("steps: { w4: { stage: work } }", { path, stages, set: [] }), {
        store: new Store(store),
        stages,
        tools: () => tools ?? {},
        ...signal && { signal },
        emit: (event) => void events.push(event),
      });
      return { events, store, logs: await filesBelow(`${store}/logs`) };
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function filesBelow(path: string): Promise<string[]> {
  const found: string[] = [];
  if (!(await Deno.stat(path)).isDirectory) return found;
  for await (const { name, isDirectory } of Deno.readDir(path)) {
    if (isDirectory) found.push(...await filesBelow(`${path}/${name}`));
    else found.push(`${path}/${name}`);
  }
  return found.sort();
}

async function linesOf(path: string): Promise<Record<string, unknown>[]> {
  return (await Deno.readTextFile(path)).trimEnd().split("\n").map((line) => JSON.parse(line));
}

function of<T extends RunEvent["type"]>(type: T, { events }: Tried): (RunEvent & { type: T })[] {
  return events.filter((event): event is RunEvent & { type: T } => event.type === type);
}

Deno.test("a step that fails leaves a log with its notes, its progress and the stack", () =>
  withStore(async (attempt) => {
    const tried = await attempt((job) => {
      job.note("about to begin", { layers: 2 }, "warning");
      job.progress(1, 2, "layer 1 of 2");
      return Promise.reject(new RangeError("Cannot go past layer 1: it is odd"));
    });
    const [failed] = of("failed", tried);
    deepStrictEqual(tried.logs, [failed?.log]);
    match(failed?.log ?? "", /\/store\/logs\/\d{8}-\d{6}-[0-9a-f]{8}\/w4\.ndjson$/);
    match(failed?.key ?? "", /^[0-9a-f]{64}$/);
    const lines = await linesOf(failed?.log ?? "");
    deepStrictEqual(lines.map(({ type }) => type), ["start", "note", "progress", "failed"]);
    const [, note, progress, end] = lines;
    deepStrictEqual([note?.text, note?.data, note?.level], [
      "about to begin",
      { layers: 2 },
      "warning",
    ]);
    strictEqual(progress?.note, "layer 1 of 2");
    strictEqual(end?.message, "Cannot go past layer 1: it is odd");
    match(String(end?.stack), /^RangeError: Cannot go past layer 1: it is odd\n +at /);
    ok(lines.every(({ time }) => new Date(String(time)).toISOString() === time));
  }));

Deno.test("a log grows as things happen, and goes when its step is finished", () =>
  withStore(async (attempt) => {
    let during: Record<string, unknown>[] = [];
    const made = await attempt(async (job) => {
      job.note("half way");
      const store = job.out.slice(0, job.out.lastIndexOf("/tmp/"));
      during = await linesOf((await filesBelow(`${store}/logs`))[0] ?? "");
      await writeNumber(job.out, 1);
    });
    deepStrictEqual(during.map(({ type }) => type), ["start", "note"]);
    deepStrictEqual(made.logs, []);
    deepStrictEqual(await Array.fromAsync(Deno.readDir(`${made.store}/logs`)), []);
  }));

Deno.test("a stopped step tells whether the next run goes on from its parts", () =>
  withStore(async (attempt) => {
    for (const [journaled, kept] of [[false, false], [true, true]] as const) {
      const controller = new AbortController();
      const tried = await attempt(async (job) => {
        if (journaled) await job.journal.recall("part1", () => Promise.resolve(1));
        controller.abort(new Error("the user asked to stop"));
        job.signal.throwIfAborted();
      }, { signal: controller.signal });
      const [stopped] = of("stopped", tried);
      strictEqual(stopped?.kept, kept);
      deepStrictEqual((await linesOf(stopped?.log ?? "")).at(-1)?.type, "stopped");
    }
  }));

Deno.test("a log is bounded, and its last line is how the step ended", () =>
  withStore(async (attempt) => {
    const { logs: [log = ""] } = await attempt((job) => {
      const text = "x".repeat(10_000);
      for (let i = 0; i < 1000; i++) job.note(text);
      return Promise.reject(new Error("it is odd"));
    });
    const { size } = await Deno.stat(log);
    ok(size > 2 ** 20 && size < 1.1 * 2 ** 20, `${size} bytes`);
    strictEqual((await linesOf(log)).at(-1)?.type, "failed");
  }));

Deno.test("logs go with the records of their runs", () =>
  withStore(async (attempt) => {
    const fail = () => Promise.reject(new Error("it is odd"));
    const first = await attempt(fail);
    const second = await attempt(fail);
    strictEqual(second.logs.length, 2, "the first one is kept");
    const [, id = ""] = /logs\/([^/]+)\//.exec(first.logs[0] ?? "") ?? [];
    for await (const room of Deno.readDir(`${first.store}/runs`)) {
      await Deno.remove(`${first.store}/runs/${room.name}/${id}.json`).catch(() => {});
    }
    const third = await attempt(fail);
    strictEqual(third.logs.length, 2);
    ok(third.logs.every((path) => !path.includes(id)), "the one without a record went");
  }));

Deno.test("a store that takes no logs does not end a step", () =>
  withStore(async (attempt) => {
    const fail = () => Promise.reject(new Error("it is odd"));
    const { store } = await attempt(fail);
    await Deno.remove(`${store}/logs`, { recursive: true });
    await Deno.writeTextFile(`${store}/logs`, "somebody's file");
    const [failed, ...rest] = of("failed", await attempt(fail));
    match(failed?.message ?? "", /: it is odd$/);
    deepStrictEqual([failed?.log, rest], [undefined, []]);
    deepStrictEqual(of("done", await attempt((job) => writeNumber(job.out, 1))).length, 1);
  }));

Deno.test("`logPath()` gives every step a file of its own that all systems take", () => {
  const name = (step: string) => logPath("/s", { run: "r", step }).split(/[/\\]/).at(-1) ?? "";
  strictEqual(name("w4"), "w4.ndjson");
  strictEqual(name("smoothed[alpha=0.2,beta=1]"), "smoothed[alpha=0.2,beta=1].ndjson");
  strictEqual(name("w[a=x:y|z]"), "w[a=x%3Ay%7Cz].ndjson");
  strictEqual(name("w[a=量]"), "w[a=%E9%87%8F].ndjson");
  const long = (end: string) => name(`w[${"量".repeat(100)}${end}]`);
  ok(long("a").length < 255 && long("a") !== long("b"));
});

Deno.test("an artifact keeps its notes with their seconds, and what making it took", () =>
  withStore(async (attempt) => {
    let deviceBytes = 100;
    const tools = {
      deviceBytes: () => deviceBytes,
      environment: () => Promise.resolve({ adapter: "a device" }),
    };
    const before = Deno.memoryUsage().rss;
    const size = 300e6;
    let held = 0;
    const work = async (job: Job) => {
      job.note("begun");
      job.progress(0, 4, "layer 1 of 2, query");
      await sleep(50);
      // Gone before anybody looks again: the system remembers, or a look while it is there.
      const ballast = new Uint8Array(size).fill(1);
      held = Deno.memoryUsage().rss;
      deviceBytes = 5000;
      await sleep(300);
      deviceBytes = 200;
      job.progress(1, 4, "layer 1 of 2, key");
      job.progress(3, 4, "layer 2 of 2, key");
      job.note(`ended ${ballast[0]}`, { error: 1 }, "result");
      await writeNumber(job.out, 1);
    };
    const [made] = of("done", await attempt(work, { tools }));
    const record = JSON.parse(await Deno.readTextFile(`${made?.path}/artifact.json`));
    deepStrictEqual(record.metrics, made?.metrics);
    const { rss, laps, ...device } = record.metrics;
    // What other tests have left in this process may go meanwhile.
    ok(rss >= held - 0.5 * size, `${rss}, and ${held} with the ballast`);
    ok(rss < Math.max(before, held) + 4 * size, `${rss} after ${before} and ${held}`);
    deepStrictEqual(device, { deviceBytes: 5000, adapter: "a device" });
    deepStrictEqual(
      laps.map(({ part }: { part: string }) => part),
      ["layer 1 of 2", "layer 2 of 2"],
    );
    // Timers may be late on a busy machine, and to the millisecond they are not early.
    ok(laps[1].at - laps[0].at >= 0.348 && laps[1].at < record.seconds + 0.01);
    const [begun, ended] = record.notes;
    deepStrictEqual([begun.text, ended.text], ["begun", "ended 1"]);
    deepStrictEqual([ended.level, ended.data], ["result", { error: 1 }]);
    ok(ended.at - begun.at >= 0.348, `${ended.at} after ${begun.at}`);
    const again = await attempt(work, { tools });
    deepStrictEqual(of("reuse", again)[0]?.metrics, record.metrics);
    deepStrictEqual(
      of("note", again).map(({ text, at, replayed }) => ({ text, at, replayed })),
      [begun, ended].map(({ text, at }) => ({ text, at, replayed: true })),
    );
  }));
