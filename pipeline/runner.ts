import { DigestMemo } from "./digests.ts";
import type { Emit, PlannedStep, Summary } from "./event.ts";
import { type Executor, inProcess } from "./executor.ts";
import { secondsSince } from "./run/clock.ts";
import { type LazyTools, lazyTools } from "./run/lazy_tools.ts";
import type { Manifest } from "./manifest.ts";
import { needsOf, type Plan, Planner } from "./planner.ts";
import { Runs, type StepRecord } from "./runs.ts";
import type { Registry } from "./stage.ts";
import { StageError } from "./run/stage_error.ts";
import { emitFailure, type End, type RunContext, runStep } from "./run/step_run.ts";
import type { Store } from "./store.ts";

/** What a plan needs beside its manifest. */
export interface PlanOptions {
  readonly store: Store;
  readonly stages: Registry;
  /** Stops at the next good moment of the stage that is at work. */
  readonly signal?: AbortSignal | undefined;
  /** Steps to make even if their artifacts are there. */
  readonly force?: ReadonlySet<string> | undefined;
}

/** What a run needs beside its manifest. */
export interface RunOptions extends PlanOptions {
  /** Makes what stages get as `job.tools`: once, for the first step that is made. */
  tools(): unknown;
  /** Makes the artifacts; in this process unless said. */
  readonly executor?: Executor;
  readonly emit: Emit;
}

/** What `run` would do now, step by step; changes nothing but the memory of file digests. */
export async function plan(manifest: Manifest, options: PlanOptions): Promise<Plan> {
  const { planner, files } = await prepare(manifest, options);
  const plan = await planner.plan(manifest);
  if (await Deno.stat(options.store.path).then(() => true, () => false)) await files.save();
  return plan;
}

/**
 * Makes or reuses the artifact of every step and tells `emit` about it.
 *
 * Nothing that goes wrong with a step is thrown: a step that fails blocks those that need it, the
 * others go on. When something outside is missing already while planning, nothing is begun. A stop
 * keeps the steps that are finished and nothing else. Tools with `Symbol.asyncDispose` are disposed
 * of before the summary.
 */
export async function run(manifest: Manifest, options: RunOptions): Promise<Summary> {
  const start = performance.now();
  const { store, stages, emit, signal = new AbortController().signal } = options;
  await store.sweep();
  const { planner, files, runs } = await prepare(manifest, { ...options, signal });
  const tools = lazyTools(options.tools);
  const executor = options.executor ?? inProcess({ store, stages, files, tools: tools.open });
  const ends = new Map<string, End>();
  const plan = await planner.plan(manifest).catch((error) => {
    if (!signal.aborted) throw error;
  });
  if (plan) {
    emit({ type: "plan", manifest: manifest.path, store: store.path, steps: plan.steps });
    await runs.begin({
      params: manifest.params,
      environment: environment(),
      steps: plan.steps.map((row) => waiting(row, manifest)),
    });
  }
  if (plan && plan.faults.size > 0) refuse(plan, { ends, emit });
  else if (plan) await runSteps(manifest, { planner, executor, runs, emit, signal, ends });
  await files.save();
  const closed = await close(tools, { ends, emit });
  const steps = manifest.steps.map(({ name }) => {
    const { state, seconds } = ends.get(name) ?? { state: "stopped", seconds: 0 };
    return { name, state, seconds };
  });
  const ok = closed && steps.every(({ state }) => state === "hit" || state === "run");
  const scores = gatherScores(manifest, ends);
  const seconds = secondsSince(start);
  await runs.end({ state: ok ? "ok" : signal.aborted ? "stopped" : "failed", seconds, scores });
  const summary: Summary = { type: "summary", ok, seconds, steps, scores };
  emit(summary);
  return summary;
}

/** Runs every step as soon as those it needs are over and the executor has room. */
async function runSteps(
  { steps }: Manifest,
  { ends, ...context }: RunContext & { readonly ends: Map<string, End> },
): Promise<void> {
  const waiting = new Set(steps);
  const working = new Map<string, Promise<void>>();
  while (waiting.size > 0 || working.size > 0) {
    for (const step of waiting) {
      if (working.size >= context.executor.width) break;
      if (!needsOf(step).every((name) => ends.has(name))) continue;
      waiting.delete(step);
      const over = (end: End) => {
        ends.set(step.name, end);
        working.delete(step.name);
      };
      working.set(step.name, runStep(step, { ...context, ends }).then(over));
    }
    await Promise.race(working.values());
  }
}

function waiting({ name, stage, reason }: PlannedStep, { steps }: Manifest): StepRecord {
  const inputs = steps.find((step) => step.name === name)?.inputs ?? {};
  return { name, stage, state: "waiting", reason, seconds: 0, inputs };
}

/** What a run's record says of the machine. */
function environment(): Record<string, string> {
  return {
    deno: Deno.version.deno,
    system: `${Deno.build.os} ${Deno.osRelease()} ${Deno.build.arch}`,
    processors: String(navigator.hardwareConcurrency),
  };
}

async function prepare(manifest: Manifest, options: PlanOptions) {
  const { store, signal } = options;
  const files = new DigestMemo(store.path, { signal });
  const runs = await Runs.open(store.path, manifest.path);
  return { files, runs, planner: new Planner({ ...options, files, runs }) };
}

interface Progress {
  readonly ends: Map<string, End>;
  readonly emit: Emit;
}

/** Ends every step of a plan that cannot be carried out whole. */
function refuse({ steps, faults }: Plan, { ends, emit }: Progress): void {
  for (const { name } of steps) {
    const failed = faults.has(name);
    if (failed) emitFailure(new StageError(name, { cause: faults.get(name) }), emit);
    ends.set(name, { state: failed ? "failed" : "blocked", seconds: 0 });
  }
}

/** Disposes of the tools; false if that failed, which is told unless a step failed before. */
async function close(tools: LazyTools, { ends, emit }: Progress): Promise<boolean> {
  try {
    await tools.close();
    return true;
  } catch (cause) {
    const last = [...ends].findLast(([, { state }]) => state === "run");
    const well = [...ends.values()].every(({ artifact }) => artifact !== undefined);
    if (last && well) emitFailure(new StageError(last[0], { cause }), emit);
    return false;
  }
}

/** Scores under their own names if one step can have some, else under `step.score`. */
function gatherScores(
  { steps }: Manifest,
  ends: ReadonlyMap<string, End>,
): Summary["scores"] {
  const scored = steps.flatMap(({ name, stage }) => {
    const scores = Object.entries(ends.get(name)?.artifact?.scores ?? {});
    return scores.length > 0 ? [{ name, stage, scores }] : [];
  });
  // A failed step of a stage that gives scores counts, so that names do not depend on luck.
  const able = steps.filter(({ stage }) => scored.some((one) => one.stage === stage));
  return Object.fromEntries(
    scored.flatMap(({ name, scores }) =>
      scores.map(([score, value]) => [able.length > 1 ? `${name}.${score}` : score, value])
    ),
  );
}
