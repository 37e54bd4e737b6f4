import type { Artifact, KeyDocument } from "../artifact.ts";
import type { Emit, EndState } from "../event.ts";
import type { Executor, Order } from "./executor.ts";
import { keyOf } from "../store/key.ts";
import type { Step } from "../manifest/manifest.ts";
import { mapInputs, needsOf } from "../manifest/needs.ts";
import { lackSentence, type Planner } from "../plan/planner.ts";
import { recordBytes } from "../store/record.ts";
import type { Runs, StepRecord } from "../store/runs.ts";
import { secondsSince } from "../words.ts";
import { StageError } from "../errors.ts";
import type { Store, Stored } from "../store/store.ts";

/** How a step ended; it has an artifact if it was made or reused. */
export interface End {
  readonly state: EndState;
  readonly seconds: number;
  readonly artifact?: Artifact;
  /** It is not selected, and something it needs could not be made. */
  readonly broken?: boolean;
}

/** What the steps of one run share. */
export interface RunContext {
  readonly store: Store;
  readonly planner: Planner;
  readonly executor: Executor;
  readonly runs: Runs;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /** Throws for an artifact that the run must not go on with. */
  accept?(step: Step, stored: Stored): Promise<void>;
  /** Steps that are over. */
  readonly ends: ReadonlyMap<string, End>;
}

/** Makes or reuses one step whose needs are over; never throws. */
export async function runStep(step: Step, context: RunContext): Promise<End> {
  const { facts, ...end } = await finish(step, context);
  const { state, seconds } = end;
  await context.runs.note(step.name, { ...facts, state, seconds });
  return end;
}

/** Tells that a step failed. */
export function emitFailure(error: StageError, emit: Emit): void {
  const { step, message, key } = error;
  emit({ type: "failed", step, message, ...key !== undefined && { key }, error });
}

async function finish(
  step: Step,
  context: RunContext,
): Promise<End & { readonly facts?: Partial<StepRecord> }> {
  const { planner, runs, emit, signal, ends } = context;
  const start = performance.now();
  const selected = planner.isSelected(step);
  const needs = needsOf(step).map((name) => ({ name, end: ends.get(name) }));
  if (needs.some(({ end }) => end?.state === "failed" || end?.state === "blocked" || end?.broken)) {
    return selected
      ? { state: "blocked", seconds: 0 }
      : { state: "skipped", seconds: 0, broken: true };
  }
  if (signal.aborted) return { state: selected ? "stopped" : "skipped", seconds: 0 };
  let key: string | undefined;
  try {
    const lacking = needs.find(({ end }) => end?.artifact === undefined);
    if (lacking && !selected) return { state: "skipped", seconds: 0 };
    if (lacking) throw new Error(lackSentence(step.name, lacking.name));
    const recipe = await planner.keyDocument(step, artifactsOf(ends));
    key = keyOf(recipe);
    // Said before it is looked at: what a run is known to use is not taken away.
    if (selected) await runs.note(step.name, { key, recipe });
    const settled = await settle(step, { ...context, recipe, key });
    if (settled === undefined) return { state: "skipped", seconds: 0 };
    const { state, stored, reason } = settled;
    const { artifact, record } = stored;
    const cost = { seconds: record.seconds, bytes: recordBytes(record) };
    const { adapter } = record.metrics ?? {};
    const known = { key, recipe, digest: artifact.digest, reason, cost };
    const facts = { ...known, ...adapter !== undefined && { adapter } };
    if (!selected) return { state: "skipped", seconds: 0, artifact, facts };
    return { state, seconds: secondsSince(start), artifact, facts };
  } catch (cause) {
    if (signal.aborted) {
      emit({ type: "stopped", step: step.name });
      return { state: "stopped", seconds: secondsSince(start) };
    }
    const error = new StageError(step.name, { ...key && { key }, cause });
    emitFailure(error, emit);
    const facts = { failure: error.message };
    return { state: "failed", seconds: secondsSince(start), facts };
  }
}

/** Makes or reuses the artifact of a step; undefined for one that is not selected and not there. */
async function settle(
  step: Step,
  { store, planner, executor, ends, emit, signal, accept, recipe, key }: RunContext & {
    readonly recipe: KeyDocument;
    readonly key: string;
  },
): Promise<
  { readonly state: "hit" | "run"; readonly stored: Stored; readonly reason: string } | undefined
> {
  const { name, stage, params } = step;
  const selected = planner.isSelected(step);
  const decision = await planner.decide(step, recipe, artifactsOf(ends));
  const { reason } = decision;
  if (decision.state === "hit") {
    await accept?.(step, decision.stored);
    if (selected) {
      emitReuse(name, { stored: decision.stored, reason, emit });
      const onNote = (text: string) => emit({ type: "note", step: name, text, replayed: false });
      await store.settle(decision.stored.artifact, { signal, onNote });
    }
    return { state: "hit", stored: decision.stored, reason };
  }
  if (!selected && decision.state !== "hit (remote)") return undefined;
  emit({ type: "start", step: name, stage, key, reason });
  const inputs = feed(step, artifactsOf(ends));
  const again = decision.state === "forced";
  const order = { step: name, stage, params, recipe, inputs, again };
  const stored = await executor.make(order, { emit, signal });
  await accept?.(step, stored);
  if (stored.made) emit({ type: "done", step: name, ...resultOf(stored) });
  else {
    const elsewhere = decision.state === "hit (remote)" ? reason : "made by another process";
    emitReuse(name, { stored, reason: elsewhere, emit });
  }
  return { state: stored.made ? "run" : "hit", stored, reason };
}

function feed({ name, inputs }: Step, artifacts: ReadonlyMap<string, Artifact>): Order["inputs"] {
  return mapInputs(inputs, (feeds: string) => {
    const artifact = artifacts.get(feeds);
    if (artifact === undefined) throw new Error(`Cannot feed step "${name}" from "${feeds}"`);
    return artifact;
  });
}

function emitReuse(
  step: string,
  { stored, reason, emit }: {
    readonly stored: Stored;
    readonly reason: string;
    readonly emit: Emit;
  },
): void {
  emit({ type: "reuse", step, ...resultOf(stored), reason });
  for (const note of stored.record.notes) emit({ type: "note", step, ...note, replayed: true });
}

function resultOf({ artifact: { key, digest, path, scores }, record }: Stored) {
  const { seconds, metrics } = record;
  return { key, digest, path, seconds, scores, ...metrics && { metrics } };
}

function artifactsOf(ends: ReadonlyMap<string, End>): Map<string, Artifact> {
  return new Map(
    [...ends].flatMap(([name, { artifact }]) => artifact ? [[name, artifact] as const] : []),
  );
}
