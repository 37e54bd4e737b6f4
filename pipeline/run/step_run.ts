import type { Artifact, Recipe } from "../artifact.ts";
import type { Emit, EndState } from "../event.ts";
import type { History } from "../history.ts";
import { keyOf } from "../key.ts";
import type { Step } from "../manifest.ts";
import { needsOf, type Planner } from "../planner.ts";
import { secondsSince } from "./clock.ts";
import { callStage } from "./stage_call.ts";
import { StageError } from "./stage_error.ts";
import type { Store, Stored } from "../store.ts";

/** How a step ended; it has an artifact if it was made or reused. */
export interface End {
  readonly state: EndState;
  readonly seconds: number;
  readonly artifact?: Artifact;
}

/** What the steps of one run share. */
export interface RunContext {
  readonly store: Store;
  readonly planner: Planner;
  readonly history: History;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  tools(): Promise<unknown>;
  /** Steps that are over. */
  readonly ends: ReadonlyMap<string, End>;
}

/** Makes or reuses one step whose needs are over; never throws. */
export async function runStep(step: Step, context: RunContext): Promise<End> {
  const { history, planner, emit, signal, ends } = context;
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
    const { state, stored } = await settle(step, { ...context, recipe, key });
    await history.remember(step.name, recipe);
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

/** Tells that a step failed. */
export function emitFailure(error: StageError, emit: Emit): void {
  emit({ type: "failed", step: error.step, message: error.message, error });
}

interface Keyed extends RunContext {
  readonly recipe: Recipe;
  readonly key: string;
}

async function settle(
  step: Step,
  context: Keyed,
): Promise<{ readonly state: "hit" | "run"; readonly stored: Stored }> {
  const { planner, store, emit, signal, recipe, key } = context;
  const { name } = step;
  const decision = await planner.decide(step, recipe);
  const { reason } = decision;
  if (decision.state === "hit") {
    emitReuse(name, { stored: decision.stored, reason, emit });
    return { state: "hit", stored: decision.stored };
  }
  emit({ type: "start", step: name, stage: step.stage, key, reason });
  const stored = await store.make(recipe, {
    kind: planner.stage(step).output,
    again: decision.state === "forced",
    signal,
    onWait: (holder) => {
      const text = `Waiting for process ${holder}, which makes the same artifact`;
      emit({ type: "note", step: name, text, replayed: false });
    },
    onQuarantine: (reason, path) => emit({ type: "quarantined", step: name, key, reason, path }),
    write: (out) => write(step, { ...context, out }),
  });
  if (stored.made) emit({ type: "done", step: name, ...resultOf(stored) });
  else emitReuse(name, { stored, reason: "made by another process", emit });
  return { state: stored.made ? "run" : "hit", stored };
}

async function write(step: Step, context: Keyed & { readonly out: string }) {
  const { planner, ends, emit, signal, out, recipe } = context;
  const made = artifactsOf(ends);
  const feed = (name: string): Artifact => {
    const artifact = made.get(name);
    if (artifact === undefined) throw new Error(`Cannot feed step "${step.name}" from "${name}"`);
    return artifact;
  };
  const inputs = Object.fromEntries(
    Object.entries(step.inputs).map(([input, feeds]) =>
      [input, typeof feeds === "string" ? feed(feeds) : feeds.map(feed)] as const
    ),
  );
  const { name, params } = step;
  const stage = planner.stage(step);
  const tools = await context.tools();
  const result = await callStage({ stage, step: name, params, inputs, tools, out, signal, emit });
  if (await planner.outsideChanged(step, recipe)) {
    throw new Error(
      `Cannot keep step "${name}": what it reads outside the store changed meanwhile`,
    );
  }
  return result;
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
