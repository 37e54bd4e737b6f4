import {
  deepStrictEqual,
  match,
  notStrictEqual,
  ok,
  rejects,
  strictEqual,
} from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { RunEvent, Summary } from "../../../pipeline/event.ts";
import { parseManifest } from "../../../pipeline/manifest/read_manifest.ts";
import { plan } from "../../../pipeline/plan/plan.ts";
import { run, type RunOptions } from "../../../pipeline/run/runner.ts";
import type { Job, Registry } from "../../../pipeline/stage.ts";
import { Store } from "../../../pipeline/store/store.ts";
import { ensureWritable, freeBytes } from "../../../pipeline/store/trouble.ts";
import { readNumber } from "../../support/toy/number.ts";
import { stageOf } from "../../support/toy/stage.ts";
import { toyCommand } from "../../support/toy/command.ts";
import * as toyStages from "../../support/toy/stages.ts";
import { until } from "../../support/wait.ts";

/** A project directory in which a test runs manifests. */
class Project implements AsyncDisposable {
  readonly #stages: Registry;
  readonly directory: string;
  readonly store: string;

  constructor(directory: string, stages: Registry) {
    this.directory = directory;
    this.store = `${directory}/store`;
    this.#stages = stages;
  }

  /** Runs a manifest's steps; what it told is sorted by type. */
  async run(steps: string, options: Partial<RunOptions> & { set?: string[] } = {}) {
    const manifest = this.manifest(steps, options.set);
    const events: RunEvent[] = [];
    const summary = await run(manifest, {
      store: new Store(this.store),
      stages: this.#stages,
      tools: () => ({}),
      ...options,
      emit: (event) => {
        events.push(JSON.parse(JSON.stringify(event)));
        options.emit?.(event);
      },
    });
    return {
      summary,
      events,
      states: statesOf(summary),
      of: <T extends RunEvent["type"]>(type: T) =>
        events.filter((event): event is RunEvent & { type: T } => event.type === type),
    };
  }

  manifest(steps: string, set: string[] = []) {
    const path = `${this.directory}/manifest.yaml`;
    return parseManifest(steps, { path, stages: this.#stages, set });
  }

  async list(room: string): Promise<string[]> {
    const entries = Array.fromAsync(Deno.readDir(`${this.store}/${room}`), ({ name }) => name);
    return await entries.catch(() => []);
  }

  async [Symbol.asyncDispose]() {
    await Deno.remove(this.directory, { recursive: true });
  }
}

async function openProject(stages: Registry = toyStages): Promise<Project> {
  return new Project(await Deno.makeTempDir(), stages);
}

function statesOf({ steps }: Summary): Record<string, string> {
  return Object.fromEntries(steps.map(({ name, state }) => [name, state]));
}

/** one → two → rest → end, with the score of two. */
const CHAIN = `
params: { one: 1, by: 3 }
steps:
  one: { stage: constant, with: { value: "\${one}" } }
  two: { stage: add, from: { a: one }, with: { by: "\${by}" } }
  rest: { stage: parity, from: { a: two } }
  end: { stage: add, from: { a: rest }, with: { by: 10 } }
  quality: { stage: score, from: { a: two } }
`;
const ALL = (state: string) => ({
  one: state,
  two: state,
  rest: state,
  end: state,
  quality: state,
});

Deno.test("`run()` makes every step once and reuses all of them the next time", async () => {
  await using project = await openProject();
  const first = await project.run(CHAIN);
  deepStrictEqual(first.states, ALL("run"));
  strictEqual(first.summary.ok, true);
  deepStrictEqual(first.summary.scores, { value: 4 });
  const second = await project.run(CHAIN);
  deepStrictEqual(second.states, ALL("hit"));
  deepStrictEqual(second.summary.scores, { value: 4 });
  deepStrictEqual(second.of("reuse").map(({ reason }) => reason), Array(5).fill("unchanged"));
  const results = (events: readonly { step: string; digest: string; path: string }[]) =>
    events.map(({ step, digest, path }) => ({ step, digest, path }));
  deepStrictEqual(results(second.of("reuse")), results(first.of("done")));
});

Deno.test("`run()` makes a step and its descendants again when a parameter changed, and says why", async () => {
  await using project = await openProject();
  await project.run(CHAIN);
  const changed = await project.run(CHAIN, { set: ["by=4"] });
  deepStrictEqual(changed.states, { ...ALL("run"), one: "hit" });
  const reasons = changed.of("start").map(({ step, reason }) => `${step}: ${reason}`);
  strictEqual(reasons[0], "two: by 3 → 4");
  strictEqual(reasons[1], 'rest: input "a" changed: 1 of 2 files (number)');
  const back = await project.run(CHAIN);
  deepStrictEqual(back.states, ALL("hit"));
  deepStrictEqual(
    back.of("reuse").map(({ reason }) => reason),
    ["unchanged", ...Array(4).fill("made before")],
  );
});

Deno.test("`run()` reuses what lies behind a step that gives the same bytes again", async () => {
  await using project = await openProject();
  await project.run(CHAIN);
  const same = await project.run(CHAIN, { set: ["by=5"] });
  deepStrictEqual(same.states, { one: "hit", two: "run", rest: "run", end: "hit", quality: "run" });
});

Deno.test("`run()` makes everything again when a stage has a new version", async () => {
  await using project = await openProject();
  await project.run(CHAIN);
  const raised = { ...toyStages, add: { ...toyStages.add, version: 2 } };
  const { states, of } = await project.run(CHAIN, { stages: raised });
  deepStrictEqual(states, { one: "hit", two: "run", rest: "hit", end: "run", quality: "hit" });
  strictEqual(of("start")[0]?.reason, "version of add 1 → 2");
});

Deno.test("`run()` puts a damaged artifact aside, tells it, and makes it again", async () => {
  await using project = await openProject();
  const { of } = await project.run(CHAIN);
  const two = of("done").find(({ step }) => step === "two");
  ok(two);
  await Deno.remove(`${two.path}/number`);
  const again = await project.run(CHAIN);
  deepStrictEqual(again.states, { ...ALL("hit"), two: "run" });
  deepStrictEqual(again.of("quarantined").map(({ step, reason }) => [step, reason]), [
    ["two", "number is missing"],
  ]);
  strictEqual(again.of("start")[0]?.reason, "its artifact is damaged: number is missing");
  strictEqual(again.of("done")[0]?.digest, two.digest);
  strictEqual((await project.list("quarantine")).length, 1);
  await Deno.remove(two.path, { recursive: true });
  strictEqual((await project.run(CHAIN)).of("start")[0]?.reason, "its artifact is gone");
});

Deno.test("`run()` goes on with what does not need a step that failed", async () => {
  await using project = await openProject();
  const { summary, states, of } = await project.run(`
steps:
  one: { stage: constant, with: { value: 1 } }
  bad: { stage: fail, from: { a: one } }
  behind: { stage: add, from: { a: bad } }
  further: { stage: parity, from: { a: behind } }
  beside: { stage: score, from: { a: one } }
`);
  deepStrictEqual(states, {
    one: "run",
    bad: "failed",
    behind: "blocked",
    further: "blocked",
    beside: "run",
  });
  strictEqual(summary.ok, false);
  deepStrictEqual(summary.scores, { value: 1 });
  deepStrictEqual(of("failed").map(({ step, message }) => [step, message]), [
    ["bad", "Cannot add one to one: it is odd"],
  ]);
  strictEqual((await project.list("artifacts")).length, 2);
  deepStrictEqual(await project.list("tmp"), []);
});

Deno.test("`run()` begins nothing when a file outside is missing", async () => {
  await using project = await openProject();
  const { states, of } = await project.run(`
steps:
  one: { stage: constant, with: { value: 1 } }
  file: { stage: read, with: { path: ${project.directory}/none } }
  sum: { stage: add, from: { a: one, b: file } }
`);
  deepStrictEqual(states, { one: "blocked", file: "failed", sum: "blocked" });
  match(of("failed")[0]?.message ?? "", /^Cannot read .*none: there is no such file$/);
  deepStrictEqual(of("start"), []);
  deepStrictEqual(await project.list("artifacts"), []);
});

Deno.test("`run()` makes what leads to an end that a missing file does not touch", async () => {
  await using project = await openProject();
  const { states, summary } = await project.run(`
steps:
  one: { stage: constant, with: { value: 1 } }
  two: { stage: constant, with: { value: 2 } }
  file: { stage: read, with: { path: ${project.directory}/none } }
  sum: { stage: add, from: { a: one, b: file } }
  lost: { stage: add, from: { a: two, b: file } }
  quality: { stage: score, from: { a: one } }
`);
  deepStrictEqual(states, {
    one: "run",
    two: "blocked",
    file: "failed",
    sum: "blocked",
    lost: "blocked",
    quality: "run",
  });
  strictEqual(summary.ok, false);
  deepStrictEqual(summary.scores, { value: 1 });
});

Deno.test("a store that cannot be written is told before any work, as what it is", async () => {
  await using project = await openProject();
  const taken = `${project.directory}/taken`;
  await Deno.writeTextFile(taken, "a file");
  await rejects(
    ensureWritable(`${taken}/store`),
    /^Error: Cannot write to the store .*taken\/store: something else lies there/,
  );
  if (Deno.build.os === "linux") {
    await rejects(
      ensureWritable("/proc/none"),
      /^Error: Cannot write to the store \/proc\/none: no directory can be made there \(ENOENT\)/,
    );
    // Nobody counts its blocks, which is not the same as a full disk.
    strictEqual(await freeBytes("/proc"), undefined);
  }
  await ensureWritable(`${project.directory}/new/store`);
  ok((await Deno.stat(`${project.directory}/new/store`)).isDirectory);
});

Deno.test("`run()` knows a file by its bytes and not by its place", async () => {
  await using project = await openProject();
  const steps = (path: string) => `steps: { file: { stage: read, with: { path: ${path} } } }`;
  const [here, there] = [`${project.directory}/here`, `${project.directory}/there`];
  await Deno.writeTextFile(here, "7");
  const first = await project.run(steps(here));
  deepStrictEqual(first.of("note").map(({ data, replayed }) => [data, replayed]), [
    [{ value: 7 }, false],
  ]);
  await Deno.rename(here, there);
  const moved = await project.run(steps(there));
  deepStrictEqual(moved.states, { file: "hit" });
  deepStrictEqual(moved.of("note").map(({ text, data, replayed }) => [text, data, replayed]), [
    ["Read a number", { value: 7 }, true],
  ]);
  await Deno.writeTextFile(there, "8");
  const changed = await project.run(steps(there));
  deepStrictEqual(changed.states, { file: "run" });
  match(changed.of("start")[0]?.reason ?? "", /^outside data file [0-9a-f]{8}… → /);
});

Deno.test("`run()` keeps nothing of a step whose file changed under it", async () => {
  const path = await Deno.makeTempFile();
  const stages = {
    read: {
      ...toyStages.read,
      run: async (job: Job) => {
        await Deno.writeTextFile(path, "changed");
        await Deno.writeTextFile(`${job.out}/number`, "1");
      },
    },
  };
  await using project = await openProject(stages);
  const { states, of } = await project.run(
    `steps: { file: { stage: read, with: { path: ${path} } } }`,
  );
  deepStrictEqual(states, { file: "failed" });
  match(of("failed")[0]?.message ?? "", /what it reads outside the store changed meanwhile$/);
  deepStrictEqual(await project.list("artifacts"), []);
  await Deno.remove(path);
});

Deno.test("`run()` makes forced steps again and no others", async () => {
  await using project = await openProject();
  await project.run(CHAIN);
  const { states, of } = await project.run(CHAIN, { force: new Set(["two"]) });
  deepStrictEqual(states, { ...ALL("hit"), two: "run" });
  strictEqual(of("start")[0]?.reason, "asked for");
});

Deno.test("`run()` hands lists and optional inputs to the stage as the manifest wires them", async () => {
  await using project = await openProject();
  const { of } = await project.run(`
steps:
  sum: { stage: total, from: { all: [a, b, a] } }
  both: { stage: add, from: { a: a, b: b } }
  a: { stage: constant, with: { value: 2 } }
  b: { stage: constant, with: { value: 5 } }
`);
  const values = await Promise.all(
    of("done").map(async ({ step, path }) => [
      step,
      await readNumber({ path, kind: "number", key: "", digest: "", scores: {} }),
    ]),
  );
  deepStrictEqual(values, [["a", 2], ["b", 5], ["sum", 9], ["both", 7]]);
});

Deno.test("`run()` puts the step's name before scores when several steps can have some", async () => {
  await using project = await openProject();
  const steps = (second: string) => `
steps:
  one: { stage: constant, with: { value: 1 } }
  two: { stage: ${second}, from: { a: one } }
  fp16: { stage: score, from: { a: one } }
  w4: { stage: score, from: { a: two } }
`;
  const { summary } = await project.run(steps("add"));
  deepStrictEqual(summary.scores, { "fp16.value": 1, "w4.value": 1 });
  deepStrictEqual((await project.run(steps("fail"))).summary.scores, { "fp16.value": 1 });
});

Deno.test("`run()` refuses a score that is not a number", async () => {
  const bad = stageOf({ run: () => Promise.resolve({ scores: { loss: NaN } }) });
  await using project = await openProject({ bad });
  const { of } = await project.run("steps: { a: { stage: bad } }");
  strictEqual(
    of("failed")[0]?.message,
    'Cannot keep score "loss": it is NaN, expected a finite number',
  );
});

Deno.test("`run()` opens the tools for the first step that is made, and closes them before the summary", async () => {
  await using project = await openProject();
  const order: string[] = [];
  const options: Partial<RunOptions> = {
    tools: () => {
      order.push("open");
      return { [Symbol.asyncDispose]: () => Promise.resolve(void order.push("close")) };
    },
    emit: ({ type }) => void (type === "summary" && order.push(type)),
  };
  await project.run(CHAIN, options);
  await project.run(CHAIN, options);
  deepStrictEqual(order, ["open", "close", "summary", "summary"]);
});

Deno.test("`run()` is not well when the tools cannot be closed", async () => {
  await using project = await openProject();
  const { summary, of } = await project.run(CHAIN, {
    tools: () => ({
      [Symbol.asyncDispose]: () =>
        Promise.reject(new Error("Cannot close the device: 2 tensors live")),
    }),
  });
  strictEqual(summary.ok, false);
  strictEqual(of("failed")[0]?.message, "Cannot close the device: 2 tensors live");
});

Deno.test("`run()` tells progress ten times a second and never after the step is over", async () => {
  let late: Job["progress"] = () => {};
  const busy = stageOf({
    run: async (job: Job) => {
      late = job.progress;
      for (let i = 0; i < 10_000; i++) job.progress(i, 10_000);
      await sleep(120);
      job.progress(9_999, 10_000);
      job.progress(10_000, 10_000, "end");
    },
  });
  await using project = await openProject({ busy });
  const { of, events } = await project.run("steps: { a: { stage: busy } }");
  const told = of("progress");
  const [first, last] = [told.at(0), told.at(-1)].map(({ memory, ...facts } = told[0]!) => {
    ok((memory?.rss ?? 0) > 2 ** 20);
    return facts;
  });
  deepStrictEqual(first, { type: "progress", step: "a", done: 0, total: 10_000 });
  deepStrictEqual(last, {
    type: "progress",
    step: "a",
    done: 10_000,
    total: 10_000,
    note: "end",
  });
  // Of ten thousand; a busy machine takes longer to tell them.
  ok(told.length >= 3 && told.length < 500, `${told.length} events`);
  const before = events.length;
  late(1, 2);
  strictEqual(events.length, before);
});

const SLOW = `
steps:
  one: { stage: constant, with: { value: 1 } }
  two: { stage: add, from: { a: one }, with: { parts: 60, pause: 20 } }
  end: { stage: parity, from: { a: two } }
`;

Deno.test("`run()` stops in the middle of a step and leaves nothing of it", async () => {
  await using project = await openProject();
  const controller = new AbortController();
  const { summary, states, of } = await project.run(SLOW, {
    signal: controller.signal,
    emit: ({ type }) => type === "progress" && controller.abort(new Error("asked to stop")),
  });
  deepStrictEqual(states, { one: "run", two: "stopped", end: "stopped" });
  strictEqual(summary.ok, false);
  deepStrictEqual(of("stopped").map(({ step }) => step), ["two"]);
  deepStrictEqual(of("failed"), []);
  deepStrictEqual(await project.list("tmp"), []);
  strictEqual((await project.list("artifacts")).length, 1);
  const again = await project.run(SLOW, { set: ["two.pause=0"] });
  deepStrictEqual(again.states, { one: "hit", two: "run", end: "run" });
});

Deno.test("`run()` does nothing when it is stopped before it begins", async () => {
  await using project = await openProject();
  const { states } = await project.run(CHAIN, { signal: AbortSignal.abort() });
  deepStrictEqual(states, ALL("stopped"));
  deepStrictEqual(await project.list("artifacts"), []);
});

Deno.test("`plan()` says what `run()` would do and writes nothing", async () => {
  await using project = await openProject();
  const rows = async (...set: string[]) => {
    const store = new Store(project.store);
    const { steps } = await plan(project.manifest(CHAIN, set), { store, stages: toyStages });
    return steps.map(({ name, state, reason }) => `${name} ${state}: ${reason}`);
  };
  deepStrictEqual(await rows(), [
    "one run: not made before",
    'two run?: depends on "one"',
    'rest run?: depends on "two"',
    'end run?: depends on "rest"',
    'quality run?: depends on "two"',
  ]);
  deepStrictEqual(await Array.fromAsync(Deno.readDir(project.directory)), []);
  await project.run(CHAIN);
  deepStrictEqual((await rows())[4], "quality hit: unchanged");
  deepStrictEqual((await rows("by=4")).slice(0, 3), [
    "one hit: unchanged",
    "two run: by 3 → 4",
    'rest run?: depends on "two"',
  ]);
});

/** Starts the toy program in a process of its own. */
function startProgram(project: Project, ...args: string[]): Deno.ChildProcess {
  return toyCommand(args, {
    cwd: project.directory,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

Deno.test("a run killed in the middle of a step leaves a store with which the next run goes on", async () => {
  await using project = await openProject();
  await Deno.writeTextFile(`${project.directory}/slow.yaml`, SLOW);
  const args = ["run", "slow.yaml", "--store", project.store, "--json"];
  // Slow enough that it is in the middle when it is looked at.
  const killed = startProgram(project, ...args, "--set", "two.pause=500");
  await until(async () => {
    const [temporary] = await project.list("tmp");
    return temporary !== undefined && (await project.list(`tmp/${temporary}`)).length > 3;
  });
  killed.kill("SIGKILL");
  await killed.output();
  strictEqual((await project.list("artifacts")).length, 1);
  strictEqual((await project.list("tmp")).length, 1);
  const next = await startProgram(project, ...args, "--set", "two.pause=0").output();
  const lines = new TextDecoder().decode(next.stdout).trim().split("\n");
  const summary: Summary = JSON.parse(lines.at(-1) ?? "");
  deepStrictEqual(statesOf(summary), { one: "hit", two: "run", end: "run" });
  deepStrictEqual(await project.list("tmp"), []);
});

Deno.test("two processes that want the same artifact do the work once", async () => {
  await using project = await openProject();
  await Deno.writeTextFile(
    `${project.directory}/shared.yaml`,
    `
steps:
  one: { stage: constant, with: { value: 1 } }
  two: { stage: add, from: { a: one }, with: { parts: 40, pause: 25, log: calls } }
`,
  );
  const args = ["run", "shared.yaml", "--store", project.store, "--json"];
  const outputs = await Promise.all(
    [startProgram(project, ...args), startProgram(project, ...args)].map((child) => child.output()),
  );
  const calls = (await Deno.readTextFile(`${project.directory}/calls`)).trim().split("\n");
  strictEqual(calls.length, 1);
  const states = outputs.map(({ stdout, code }) => {
    strictEqual(code, 0);
    const lines = new TextDecoder().decode(stdout).trim().split("\n");
    return statesOf(JSON.parse(lines.at(-1) ?? "")).two;
  });
  deepStrictEqual(states.sort(), ["hit", "run"]);
  const [first, second] = outputs.map(({ stdout }) => new TextDecoder().decode(stdout));
  notStrictEqual(first, second);
});
