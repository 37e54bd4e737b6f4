import { resolve } from "node:path";
import type { Emit, EndState, PlannedStep, Summary } from "../event.ts";
import { type Executor, inProcess } from "./executor.ts";
import { secondsSince } from "../words.ts";
import { type LazyTools, lazyTools } from "./lazy_tools.ts";
import { openPlanner, type PlanOptions } from "../plan/plan.ts";
import { accepting, lockOf, refuseDrift, writeLock } from "../plan/lock_file.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { needsOf } from "../manifest/needs.ts";
import { MAKING, type Plan } from "../plan/planner.ts";
import { preflight } from "../plan/preflight.ts";
import { Runs, type StepRecord } from "../store/runs.ts";
import { StageError } from "../errors.ts";
import { keepingLogs } from "./step_log.ts";
import { emitFailure, type End, type RunContext, runStep } from "./step_run.ts";
import { evict } from "../store/collect.ts";
import { unmetExpectations } from "./unmet.ts";
import { ensureWritable } from "../store/trouble.ts";

/** States of steps that ended as asked. */
const WELL: ReadonlySet<EndState> = new Set(["hit", "run", "skipped"]);

/** What a run needs beside its manifest. */
export interface RunOptions extends PlanOptions {
  /** Makes what stages get as `job.tools`: once, for the first step that is made. */
  tools(): unknown;
  /** Makes the artifacts; in this process unless said. */
  readonly executor?: Executor;
  readonly emit: Emit;
  /** File to write after a good run: what everything was made from. */
  readonly lock?: string | undefined;
  /** How large the store may be after a run that made something; the usual cap unless said. */
  readonly maxBytes?: number | undefined;
}

/**
 * Makes or reuses the artifact of every step and tells `emit` about it.
 *
 * Nothing that goes wrong with a step is thrown: a step that fails blocks those that need it, the
 * others go on. What is known to go wrong while planning is told before any work, and of what leads to
 * it alone nothing is begun. A stop
 * keeps the steps that are finished, and what the others' journals hold. Tools with
 * `Symbol.asyncDispose` are disposed of before the summary.
 */
export async function run(manifest: Manifest, options: RunOptions): Promise<Summary> {
  const start = performance.now();
  const { store, stages, emit, signal = new AbortController().signal } = options;
  await store.sweep();
  const { planner, files, runs } = await openPlanner(manifest, { ...options, signal });
  const tools = lazyTools(options.tools);
  const executor = options.executor ?? inProcess({ store, stages, files, tools: tools.open });
  const ends = new Map<string, End>();
  const { selected } = options;
  if (selected) emit({ type: "selected", steps: [...selected], total: manifest.steps.length });
  const elsewhere = options.executor !== undefined;
  const planning = planner.plan(manifest).then(async (plan) => {
    // Else what cannot be written would look like what does not fit.
    if (plan.steps.some(({ state }) => MAKING.has(state))) await ensureWritable(store.path);
    return await preflight(plan, manifest, { elsewhere, ...options });
  });
  const plan = await planning.catch((error) => {
    if (!signal.aborted) throw error;
  });
  if (plan) {
    refuseDrift(manifest, { ...options, plan });
    const { machine, steps } = plan;
    const where = { manifest: manifest.path, store: store.path };
    emit({ type: "plan", ...where, ...machine !== undefined && { machine }, steps });
    await runs.begin({
      params: manifest.params,
      environment: environment(),
      steps: plan.steps.map((row) => waiting(row, { manifest, runs })),
      sources: manifest.sources.map(({ path, sha256 }) => ({ path: resolve(path), sha256 })),
      ...selected && { selected: [...selected] },
    });
    const used = planner.used(manifest.steps);
    for (const { name } of manifest.steps) {
      if (!used.has(name)) ends.set(name, { state: "skipped", seconds: 0 });
    }
  }
  if (plan && plan.faults.size > 0) {
    await refuse(plan, { ends, emit, runs, spared: sparedSteps(manifest, plan) });
  }
  if (plan && manifest.steps.some(({ name }) => !ends.has(name))) {
    const accept = accepting(options.locked, tools);
    const kept = keepingLogs(emit, { store: store.path, run: runs.all[0]?.id ?? "unknown" });
    await runSteps(manifest, { store, planner, executor, runs, emit: kept, signal, accept, ends });
    await runs.describe(await tools.environment());
  }
  await files.save();
  const closed = await close(tools, { ends, emit });
  const steps = manifest.steps.map(({ name }) => {
    const { state, seconds } = ends.get(name) ?? { state: "stopped", seconds: 0 };
    return { name, state, seconds };
  });
  const unmet = unmetExpectations(manifest, (step) => ends.get(step)?.artifact?.scores);
  const ok = closed && steps.every(({ state }) => WELL.has(state)) && unmet.length === 0;
  const scores = gatherScores(manifest, ends);
  const seconds = secondsSince(start);
  await runs.end({ state: ok ? "ok" : signal.aborted ? "stopped" : "failed", seconds, scores });
  await keepToCap(options, ends);
  const told = unmet.length > 0 && { unmet };
  const summary: Summary = { type: "summary", ok, seconds, steps, scores, ...told };
  emit(summary);
  const [record] = runs.all;
  if (ok && options.lock && record) {
    await writeLock(options.lock, lockOf(manifest, { record, earlier: runs.all }));
  }
  return summary;
}

/** Runs every step as soon as those it needs are over and the executor has room. */
async function runSteps(
  { steps }: Manifest,
  { ends, ...context }: RunContext & { readonly ends: Map<string, End> },
): Promise<void> {
  const waiting = new Set(steps.filter(({ name }) => !ends.has(name)));
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

function waiting(
  { name, stage, state, reason }: PlannedStep,
  { manifest, runs }: { readonly manifest: Manifest; readonly runs: Runs },
): StepRecord {
  const inputs = manifest.steps.find((step) => step.name === name)?.inputs ?? {};
  const facts = { name, stage, reason, seconds: 0, inputs };
  if (state !== "skipped") return { ...facts, state: "waiting" };
  // What it had stays known, so that a partial run makes nothing unreachable.
  const { key, recipe, digest, cost, adapter } = runs.lastStep(name) ?? {};
  return {
    ...facts,
    state,
    ...key && { key },
    ...recipe && { recipe },
    ...digest && { digest },
    ...cost && { cost },
    ...adapter !== undefined && { adapter },
  };
}

/** What a run's record says of the machine. */
function environment(): Record<string, string> {
  return {
    deno: Deno.version.deno,
    system: `${Deno.build.os} ${Deno.osRelease()} ${Deno.build.arch}`,
    processors: String(navigator.hardwareConcurrency),
  };
}

/** Removes what no run uses from a store that the run made too large; one that cannot be stays. */
async function keepToCap(
  { store, maxBytes, emit }: RunOptions,
  ends: ReadonlyMap<string, End>,
): Promise<void> {
  const all = [...ends.values()];
  if (!all.some(({ state }) => state === "run")) return;
  const keep = new Set(all.flatMap(({ artifact }) => artifact?.key ?? []));
  const evicted = await evict(store.path, { maxBytes, keep }).catch(() => undefined);
  if (evicted === undefined) return;
  const { before, after: bytes, maxBytes: cap } = evicted;
  const removals = evicted.removals.map(({ room, name, stage, bytes }) => {
    return { room, name, ...stage !== undefined && { stage }, bytes };
  });
  emit({ type: "evicted", removals, freed: before - bytes, bytes, maxBytes: cap });
}

interface Progress {
  readonly ends: Map<string, End>;
  readonly emit: Emit;
}

/** Steps that lead to an end which a plan's faults do not touch. */
function sparedSteps({ steps }: Manifest, { steps: rows }: Plan): ReadonlySet<string> {
  const idle = new Set(
    rows.flatMap(({ name, state }) => state === "blocked" || state === "skipped" ? [name] : []),
  );
  const skipped = new Set(rows.flatMap(({ name, state }) => state === "skipped" ? [name] : []));
  const read = new Set(steps.filter(({ name }) => !skipped.has(name)).flatMap(needsOf));
  const spared = new Set<string>();
  // Those that are needed come before those that need them.
  for (const step of steps.toReversed()) {
    const { name } = step;
    if (idle.has(name) || (read.has(name) && !spared.has(name))) continue;
    spared.add(name);
    for (const need of needsOf(step)) spared.add(need);
  }
  return spared;
}

/** Ends every step of a plan that cannot be carried out whole, but for those that are spared. */
async function refuse(
  { steps, faults }: Plan,
  { ends, emit, runs, spared }: Progress & {
    readonly runs: Runs;
    readonly spared: ReadonlySet<string>;
  },
): Promise<void> {
  for (const { name, state } of steps) {
    if (spared.has(name) || ends.has(name)) continue;
    const error = faults.has(name) && new StageError(name, { cause: faults.get(name) });
    if (error) emitFailure(error, emit);
    const end = error ? "failed" : state === "skipped" ? "skipped" : "blocked";
    ends.set(name, { state: end, seconds: 0 });
    await runs.note(name, { state: end, ...error && { failure: error.message } });
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
    const { state, artifact } = ends.get(name) ?? {};
    const scores = state === "skipped" ? [] : Object.entries(artifact?.scores ?? {});
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
