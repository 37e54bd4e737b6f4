import type { Artifact, Recipe } from "../artifact.ts";
import type { Emit, EndState } from "../event.ts";
import type { Executor } from "../executor.ts";
import { keyOf } from "../key.ts";
import type { Step } from "../manifest.ts";
import { needsOf, type Planner } from "../planner.ts";
import type { Runs } from "../runs.ts";
import { secondsSince } from "./clock.ts";
import { StageError } from "./stage_error.ts";
import type { Stored } from "../store.ts";

/** How a step ended; it has an artifact if it was made or reused. */
export interface End {
  readonly state: EndState;
  readonly seconds: number;
  readonly artifact?: Artifact;
}

/** What the steps of one run share. */
export interface RunContext {
  readonly planner: Planner;
  readonly executor: Executor;
  readonly runs: Runs;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /** Steps that are over. */
  readonly ends: ReadonlyMap<string, End>;
}

/** Makes or reuses one step whose needs are over; never throws. */
export async function runStep(step: Step, context: RunContext): Promise<End> {
  const end = await finish(step, context);
  const { state, seconds } = end;
  await context.runs.note(step.name, { state, seconds });
  return end;
}

/** Tells that a step failed. */
export function emitFailure(error: StageError, emit: Emit): void {
  emit({ type: "failed", step: error.step, message: error.message, error });
}

async function finish(step: Step, context: RunContext): Promise<End> {
  const { planner, runs, emit, signal, ends } = context;
  const start = performance.now();
  const needs = needsOf(step).map((name) => ends.get(name)?.state);
  if (needs.some((state) => state === "failed" || state === "blocked")) {
    return { state: "blocked", seconds: 0 };
  }
  if (signal.aborted) return { state: "stopped", seconds: 0 };
  let key: string | undefined;
  try {
    const recipe = await planner.recipe(step, artifactsOf(ends));
    key = keyOf(recipe);
    const { state, stored, reason } = await settle(step, { ...context, recipe, key });
    await runs.note(step.name, { key, recipe, digest: stored.artifact.digest, reason });
    return { state, seconds: secondsSince(start), artifact: stored.artifact };
  } catch (cause) {
    if (signal.aborted) {
      emit({ type: "stopped", step: step.name });
      return { state: "stopped", seconds: secondsSince(start) };
    }
    emitFailure(new StageError(step.name, { ...key && { key }, cause }), emit);
    return { state: "failed", seconds: secondsSince(start) };
  }
}

async function settle(
  step: Step,
  { planner, executor, ends, emit, signal, recipe, key }: RunContext & {
    readonly recipe: Recipe;
    readonly key: string;
  },
): Promise<
  { readonly state: "hit" | "run"; readonly stored: Stored; readonly reason: string }
> {
  const { name, stage, params } = step;
  const decision = await planner.decide(step, recipe);
  const { reason } = decision;
  if (decision.state === "hit") {
    emitReuse(name, { stored: decision.stored, reason, emit });
    return { state: "hit", stored: decision.stored, reason };
  }
  emit({ type: "start", step: name, stage, key, reason });
  const inputs = feed(step, artifactsOf(ends));
  const again = decision.state === "forced";
  const order = { step: name, stage, params, recipe, inputs, again };
  const stored = await executor.make(order, { emit, signal });
  if (stored.made) emit({ type: "done", step: name, ...resultOf(stored) });
  else emitReuse(name, { stored, reason: "made by another process", emit });
  return { state: stored.made ? "run" : "hit", stored, reason };
}

function feed(
  step: Step,
  artifacts: ReadonlyMap<string, Artifact>,
): Record<string, Artifact | Artifact[]> {
  const one = (name: string): Artifact => {
    const artifact = artifacts.get(name);
    if (artifact === undefined) throw new Error(`Cannot feed step "${step.name}" from "${name}"`);
    return artifact;
  };
  return Object.fromEntries(
    Object.entries(step.inputs).map(([input, feeds]) =>
      [input, typeof feeds === "string" ? one(feeds) : feeds.map(one)] as const
    ),
  );
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

function resultOf({ artifact: { key, digest, path, scores }, record: { seconds } }: Stored) {
  return { key, digest, path, seconds, scores };
}

function artifactsOf(ends: ReadonlyMap<string, End>): Map<string, Artifact> {
  return new Map(
    [...ends].flatMap(([name, { artifact }]) => artifact ? [[name, artifact] as const] : []),
  );
}
