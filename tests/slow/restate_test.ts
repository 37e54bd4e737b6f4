// Slow: starts a Restate server and workers, and kills some.
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { serverProgram } from "../../pipeline/run/restate/server.ts";
import { Fleet, linesOf } from "../support/restate_fleet.ts";
import { until } from "../support/wait.ts";

/** Why the tests that need Restate's server cannot run here, if they cannot. */
const missing = await serverProgram().then(() => undefined, (error: Error) => error.message);

/** A test with a server and workers of its own, all of them real processes. */
function test(name: string, run: () => Promise<void>): void {
  const ignore = missing !== undefined;
  Deno.test({ name: ignore ? `${name} (skipped: ${missing})` : name, ignore, fn: run });
}

/** Sum of 1 to `parts`, from the formula. */
const sumTo = (parts: number) => parts * (parts + 1) / 2;

/** Numbers of the parts that processes counted, in the order they did. */
async function counted(log: string): Promise<{ readonly pid: number; readonly part: number }[]> {
  return (await linesOf(log)).map((line) => {
    const [pid = NaN, part = NaN] = line.split(" ").map(Number);
    return { pid, part };
  });
}

const upTo = (parts: number) => Array.from({ length: parts }, (_, i) => i + 1);

test("two workers make independent steps together, and what a process alone makes", async () => {
  await using fleet = await Fleet.start({ workers: 2 });
  const [left, right] = [fleet.path("left"), fleet.path("right")];
  await fleet.manifest(`
steps:
  left: { stage: count, with: { parts: 8, pause: 60, log: ${left} } }
  right: { stage: count, with: { parts: 9, pause: 60, log: ${right} } }
  sum: { stage: total, from: { all: [left, right] } }
  quality: { stage: score, from: { a: sum } }
`);
  const { code, events, of } = await fleet.run();
  strictEqual(code, 0);
  deepStrictEqual(of("summary")[0].scores, { value: sumTo(8) + sumTo(9) });
  const logs = await Promise.all([left, right].map(counted));
  deepStrictEqual(logs.map((log) => log.map(({ part }) => part)), [upTo(8), upTo(9)]);
  const pids = logs.map((log) => new Set(log.map(({ pid }) => pid)));
  deepStrictEqual(
    new Set(pids.map((set) => [...set]).flat()),
    new Set(fleet.workers.map(({ child }) => child.pid)),
  );
  ok(events.some((event) => event.type === "progress" && event.step === "left"));
  const digests = (all: typeof events) =>
    Object.fromEntries(
      all.flatMap(({ type, step, digest }) => type === "done" ? [[step, digest]] : []),
    );
  const alone = await fleet.run({ args: ["--store", fleet.path("alone")], local: true });
  deepStrictEqual(digests(events), digests(alone.events));
});

test("one artifact that two runs want at once is made once", async () => {
  await using fleet = await Fleet.start({ workers: 2 });
  const log = fleet.path("log");
  await fleet.manifest(`
steps:
  slow: { stage: count, with: { parts: 8, pause: 60, log: ${log} } }
`);
  const runs = await Promise.all([fleet.run(), fleet.run()]);
  deepStrictEqual(runs.map(({ code }) => code), [0, 0]);
  deepStrictEqual(runs.map(({ of }) => of("summary")[0].steps[0].state).sort(), ["hit", "run"]);
  deepStrictEqual((await counted(log)).map(({ part }) => part), upTo(8));
});

test("a step whose worker is killed goes on at another, from its journal", async () => {
  await using fleet = await Fleet.start({ workers: 2 });
  const log = fleet.path("log");
  await fleet.manifest(`
params: { log: ${fleet.path("before")} }
steps:
  slow: { stage: count, with: { parts: 20, pause: 120, log: "\${log}" } }
  quality: { stage: score, from: { a: slow } }
`);
  strictEqual((await fleet.run()).code, 0);
  // Forced, so that the journal must be told from one that is not trusted.
  const run = fleet.run({ args: ["--force=slow", "--set", `log=${log}`] });
  await until(async () => (await linesOf(log)).length >= 6);
  const [{ pid: first } = { pid: NaN }] = await counted(log);
  Deno.kill(first, "SIGKILL");
  const { code, of } = await run;
  strictEqual(code, 0);
  deepStrictEqual(of("summary")[0].scores, { value: sumTo(20) });
  const all = await counted(log);
  const killed = all.filter(({ pid }) => pid === first).map(({ part }) => part);
  const other = all.filter(({ pid }) => pid !== first).map(({ part }) => part);
  const last = killed.length;
  deepStrictEqual(killed, upTo(last));
  // The part at which it died may have been counted and not yet kept.
  ok(other[0] === last || other[0] === last + 1, `${other[0]} after ${last}`);
  deepStrictEqual(other, upTo(20).slice(other[0]! - 1));
  deepStrictEqual(await fleet.list("journal"), []);
  deepStrictEqual(await fleet.list("orders"), []);
});

test("a worker that is asked to leave hands its step to another", async () => {
  await using fleet = await Fleet.start({ workers: 2 });
  const log = fleet.path("log");
  await fleet.manifest(`
steps:
  slow: { stage: count, with: { parts: 20, pause: 150, log: ${log} } }
`);
  const run = fleet.run();
  await until(async () => (await linesOf(log)).length >= 5);
  const [{ pid: first } = { pid: NaN }] = await counted(log);
  const leaver = fleet.workers.find(({ child }) => child.pid === first)!.child;
  leaver.kill("SIGINT");
  const { code } = await run;
  deepStrictEqual([code, (await leaver.status).code], [0, 0]);
  const all = await counted(log);
  deepStrictEqual(all.map(({ part }) => part), upTo(20));
  strictEqual(new Set(all.map(({ pid }) => pid)).size, 2);
});

test("a step goes on when the server is killed and started again", async () => {
  await using fleet = await Fleet.start({ workers: 1 });
  const log = fleet.path("log");
  // Work for six seconds: the server must be back before it ends.
  await fleet.manifest(`
steps:
  slow: { stage: count, with: { parts: 120, pause: 50, log: ${log} } }
  after: { stage: count, from: { a: slow } }
  quality: { stage: score, from: { a: after } }
`);
  const run = fleet.run();
  await until(async () => (await linesOf(log)).length >= 4);
  await fleet.stopServer("SIGKILL");
  await fleet.startServer();
  const { code, of } = await run;
  strictEqual(code, 0);
  deepStrictEqual(of("summary")[0].scores, { value: sumTo(120) + 1 });
  // The worker went on with what it had begun, rather than begin anew and find it made.
  deepStrictEqual(of("done").map(({ step }) => step), ["slow", "after", "quality"]);
  deepStrictEqual((await counted(log)).map(({ part }) => part), upTo(120));
});

test("a stage that fails ends its step with its sentence, at the first try", async () => {
  await using fleet = await Fleet.start({ workers: 1 });
  const log = fleet.path("log");
  await fleet.manifest(`
steps:
  good: { stage: add, from: { a: one }, with: { log: ${log} } }
  one: { stage: constant, with: { value: 1 } }
  bad: { stage: fail, from: { a: good }, with: { message: "Cannot add one to one: it is odd" } }
  after: { stage: parity, from: { a: bad } }
`);
  const { code, errors, of } = await fleet.run();
  strictEqual(code, 1);
  match(errors, /^Cannot add one to one: it is odd$/m);
  deepStrictEqual(
    of("summary")[0].steps.map(({ name, state }: Record<string, string>) => [name, state]),
    [["one", "run"], ["good", "run"], ["bad", "failed"], ["after", "blocked"]],
  );
  const began = fleet.heard().filter(({ type, step }) => type === "start" && step === "bad");
  strictEqual(began.length, 1);
});

test("Ctrl-C stops the stage at the worker, and the next run goes on", async () => {
  await using fleet = await Fleet.start({ workers: 1 });
  const log = fleet.path("log");
  await fleet.manifest(`
steps:
  slow: { stage: count, with: { parts: 30, pause: 120, log: ${log} } }
`);
  const running = fleet.start(["run", "a.yaml", "--executor", `restate=${fleet.url}`, "--json"]);
  await until(async () => (await linesOf(log)).length >= 5);
  running.child.kill("SIGINT");
  strictEqual((await running.child.status).code, 130);
  const stopped = (await linesOf(log)).length;
  ok(stopped < 30, "it stopped before its end");
  await sleep(300);
  strictEqual((await linesOf(log)).length, stopped);
  ok(fleet.heard().some(({ type, step }) => type === "stopped" && step === "slow"));
  strictEqual((await fleet.run()).code, 0);
  deepStrictEqual((await counted(log)).map(({ part }) => part), upTo(30));
});

test("a run that finds no worker waits for one and says so", async () => {
  await using fleet = await Fleet.start({ workers: 0 });
  await fleet.manifest("steps: { one: { stage: constant, with: { value: 4 } } }\n");
  const run = fleet.start(["run", "a.yaml", "--executor", `restate=${fleet.url}`, "--json"]);
  await until(() =>
    /Waiting for a worker; deno task worker --restate http\S+ starts one"/.test(run.out())
  );
  await fleet.addWorker();
  strictEqual((await run.child.status).code, 0);
});
