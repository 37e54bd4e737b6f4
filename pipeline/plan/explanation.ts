import type { KeyDocument } from "../artifact.ts";
import { compareDocuments, describeDifference, describeField, differs } from "./difference.ts";
import type { PlannedStep } from "../event.ts";
import { describeInputs } from "./input_change.ts";
import { keyOf } from "../store/key.ts";
import type { Manifest, Step } from "../manifest/manifest.ts";
import { byPlace } from "../manifest/needs.ts";
import type { Plan } from "./planner.ts";
import { openPlanner, type PlanOptions } from "./plan.ts";
import type { RunRecord, Runs } from "../store/runs.ts";
import type { Store } from "../store/store.ts";

/** A value of a step's key document, now and in an earlier run. */
export interface ExplainedField {
  /** Where it stands: `params.alpha`, `inputs.model`. */
  readonly field: string;
  readonly before?: unknown;
  /** Missing where it is gone, or unknown before the step that gives it is made. */
  readonly now?: unknown;
  readonly state: "same" | "changed" | "unknown";
  /** What changed, or why it is unknown. */
  readonly words?: string;
}

/** Why an input is or may be another one now, up to the steps where the difference starts. */
export interface Cause {
  /** The step that feeds the input. */
  readonly step: string;
  readonly words: string;
  readonly causes: readonly Cause[];
}

/** What a step would do, and how its key document differs from that of an earlier run. */
export interface Explanation extends PlannedStep {
  /** The run it is compared with, if there is one. */
  readonly against?: Pick<RunRecord, "id" | "started" | "state">;
  /** Its key in that run, if it was begun there. */
  readonly keyBefore?: string;
  /** The whole key document, value by value. */
  readonly fields: readonly ExplainedField[];
  readonly causes: readonly Cause[];
}

/** What is compared: a plan with the record of a run. */
interface Sides {
  readonly manifest: Manifest;
  readonly store: Store;
  readonly runs: Runs;
  readonly plan: Plan;
  readonly run: RunRecord | undefined;
}

/**
 * Says of a step what a run would do with it and why; changes nothing but the memory of file digests.
 *
 * `against` picks the run to compare with; without it that is the last one that had the step's
 * artifact.
 */
export async function explain(
  manifest: Manifest,
  { step: name, against, ...options }: PlanOptions & {
    readonly step: string;
    readonly against?: ((runs: readonly RunRecord[]) => RunRecord) | undefined;
  },
): Promise<Explanation> {
  const { store } = options;
  const { planner, runs } = await openPlanner(manifest, options);
  const plan = await planner.plan(manifest);
  const step = manifest.steps.find((one) => one.name === name);
  const row = plan.steps.find((one) => one.name === name);
  if (step === undefined || row === undefined) throw new RangeError(`Cannot find step "${name}"`);
  const run = against?.(runs.all) ?? lastRunOf(name, runs.all);
  const sides: Sides = { manifest, store, runs, plan, run };
  const before = documentIn(run, name);
  return {
    ...row,
    ...run && { against: { id: run.id, started: run.started, state: run.state } },
    ...before && { keyBefore: keyOf(before) },
    fields: await fieldsOf(step, sides),
    causes: before ? causesOf(step, { sides, told: new Set() }) : [],
  };
}

/** The newest run that made or reused a step, else one that knew what it had. */
function lastRunOf(step: string, runs: readonly RunRecord[]): RunRecord | undefined {
  const having = runs.filter(({ steps }) =>
    steps.some(({ name, recipe, digest }) => name === step && recipe && digest)
  );
  return having.find(({ steps }) =>
    steps.some(({ name, state }) => name === step && state !== "skipped")
  ) ?? having[0];
}

async function fieldsOf(
  step: Step,
  { store, runs, plan: { documents, artifacts }, run }: Sides,
): Promise<ExplainedField[]> {
  const now = documents.get(step.name);
  if (now === undefined) return [];
  const before = documentIn(run, step.name);
  const own = compareDocuments(withoutInputs(before ?? now), withoutInputs(now)).map((field) =>
    explained([field.part, ...field.fields].join("."), {
      ...before && { before: field.before },
      now: field.now,
      ...before && differs(field) && { words: describeField(field, now.stage) },
    })
  );
  const words = before ? await describeInputs(step, { before, artifacts, store, runs }) : {};
  const [digests, feeds] = [byPlace(before?.inputs ?? {}), byPlace(step.inputs)];
  const inputs = [...new Set([...digests.keys(), ...feeds.keys()])].map((place) => {
    const [then, feed] = [digests.get(place), feeds.get(place)];
    const here = feed === undefined ? undefined : artifacts.get(feed)?.digest;
    if (feed !== undefined && here === undefined) {
      const why = `not known before "${feed}" is made`;
      return { field: `inputs.${place}`, before: then, state: "unknown", words: why } as const;
    }
    const field = { part: "inputs", fields: place.split("."), before: then, now: here } as const;
    return explained(`inputs.${place}`, {
      ...before && { before: then },
      now: here,
      ...before && then !== here && { words: words[place] ?? describeField(field, now.stage) },
    });
  });
  return [...own, ...inputs];
}

function explained(
  field: string,
  facts: { readonly before?: unknown; readonly now?: unknown; readonly words?: string },
): ExplainedField {
  return { field, ...facts, state: facts.words === undefined ? "same" : "changed" };
}

/** Causes of every input that is or may be another one than in the run. */
function causesOf(
  step: Step,
  { sides, told }: { readonly sides: Sides; readonly told: Set<string> },
): Cause[] {
  const digests = byPlace(documentIn(sides.run, step.name)?.inputs ?? {});
  const record = sides.run?.steps.find(({ name }) => name === step.name);
  const before = byPlace(record?.inputs ?? {});
  return [...byPlace(step.inputs)].flatMap(([place, feed]) => {
    const digest = sides.plan.artifacts.get(feed)?.digest;
    const former = before.get(place);
    // The digest is unknown as long as the step that gives it has not run.
    if (digest !== undefined && digest === digests.get(place)) return [];
    if (told.has(feed)) return [{ step: feed, words: "as told above", causes: [] }];
    told.add(feed);
    if (former !== undefined && former !== feed) {
      return [{ step: feed, words: `comes from "${feed}" now, came from "${former}"`, causes: [] }];
    }
    if (!digests.has(place)) return [{ step: feed, words: "is a new input", causes: [] }];
    const recorded = sides.run?.steps.find(({ name }) => name === feed)?.digest;
    if (recorded !== digests.get(place)) {
      // A part of the manifest was run, and the step was not in it.
      return [{ step: feed, words: `was made again since "${step.name}" was`, causes: [] }];
    }
    return [causeIn(feed, { sides, told })];
  });
}

function causeIn(
  name: string,
  { sides, told }: { readonly sides: Sides; readonly told: Set<string> },
): Cause {
  const { manifest, plan, run } = sides;
  const step = manifest.steps.find((one) => one.name === name);
  const row = plan.steps.find((one) => one.name === name);
  const [before, now] = [documentIn(run, name), plan.documents.get(name)];
  if (row?.state === "forced") return { step: name, words: "is made again: asked for", causes: [] };
  if (step === undefined || before === undefined || now === undefined) {
    return { step: name, words: row?.reason ?? "is not there", causes: [] };
  }
  const causes = causesOf(step, { sides, told });
  const own = describeDifference(withoutInputs(before), withoutInputs(now));
  if (own !== "") return { step: name, words: `changed: ${own}`, causes };
  if (causes.length > 0) return { step: name, words: "has other inputs", causes };
  const again = "was made again with other bytes";
  return { step: name, words: plan.artifacts.has(name) ? again : row?.reason ?? again, causes };
}

function documentIn(run: RunRecord | undefined, step: string): KeyDocument | undefined {
  return run?.steps.find(({ name }) => name === step)?.recipe;
}

function withoutInputs(document: KeyDocument): KeyDocument {
  return { ...document, inputs: {} };
}
