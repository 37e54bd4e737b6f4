import type { Artifact, Recipe } from "./artifact.ts";
import { describeDifference } from "./difference.ts";
import type { PlannedStep } from "./event.ts";
import { keyOf } from "./key.ts";
import type { Manifest, Step } from "./manifest.ts";
import type { Runs } from "./runs.ts";
import type { AnyStage, FileDigests, Registry } from "./stage.ts";
import { messageOf } from "./run/stage_error.ts";
import type { Store, Stored } from "./store.ts";

/** What decides whether a step runs. */
export interface PlannerOptions {
  readonly store: Store;
  readonly stages: Registry;
  readonly files: FileDigests;
  readonly runs: Runs;
  /** Steps to make even if their artifacts are there. */
  readonly force?: ReadonlySet<string> | undefined;
  /** Ends the planning, which may have to read large files. */
  readonly signal?: AbortSignal | undefined;
}

/** What every step of a manifest will do. */
export interface Plan {
  readonly steps: readonly PlannedStep[];
  /** What was thrown for the steps that are blocked by themselves. */
  readonly faults: ReadonlyMap<string, unknown>;
}

/** Artifacts of the steps that are made, by step. */
export type Artifacts = ReadonlyMap<string, Artifact>;

/** What to do with a step whose inputs are known, and why. */
export type Decision =
  | { readonly state: "hit"; readonly reason: string; readonly stored: Stored }
  | { readonly state: "run" | "forced"; readonly reason: string };

const FORCED = "asked for";

/** Decides for every step whether it runs, and says why. `plan` and `run` ask the same one. */
export class Planner {
  readonly #options: PlannerOptions;
  /** Once a step, so that a plan and the run after it look at the same outside data. */
  readonly #fingerprints = new Map<Step, Promise<unknown>>();

  constructor(options: PlannerOptions) {
    this.#options = options;
  }

  /** Looks at every step and changes nothing; rows are in the order of the manifest. */
  async plan({ steps }: Manifest): Promise<Plan> {
    const artifacts = new Map<string, Artifact>();
    const faults = new Map<string, unknown>();
    const rows = new Map<string, PlannedStep>();
    for (const step of steps) {
      const { name, stage } = step;
      const blockers = needsOf(step).filter((need) => rows.get(need)?.state === "blocked");
      const row = blockers.length > 0
        ? { state: "blocked", reason: dependsOn(blockers) } as const
        : await this.#row(step, artifacts).catch((error) => {
          this.#options.signal?.throwIfAborted();
          faults.set(name, error);
          return { state: "blocked", reason: messageOf(error) } as const;
        });
      rows.set(name, { name, stage, ...row });
    }
    return { steps: [...rows.values()], faults };
  }

  /** The key document of a step; all its inputs must be there. */
  async recipe(step: Step, artifacts: Artifacts): Promise<Recipe> {
    const stage = this.stage(step);
    const digest = (name: string): string => {
      const artifact = artifacts.get(name);
      if (artifact === undefined) throw new Error(`Cannot key "${step.name}" before "${name}"`);
      return artifact.digest;
    };
    const inputs = Object.entries(step.inputs).map(([input, feeds]) =>
      [input, typeof feeds === "string" ? digest(feeds) : feeds.map(digest)] as const
    );
    const fingerprint = await this.#fingerprint(step);
    return {
      stage: step.stage,
      version: stage.version,
      params: withoutPlaces(step.params, stage.places ?? []),
      inputs: Object.fromEntries(inputs),
      ...fingerprint !== undefined && { fingerprint },
    };
  }

  /** Whether a step with this key document runs. */
  async decide(step: Step, recipe: Recipe): Promise<Decision> {
    const { store, runs, force } = this.#options;
    if (force?.has(step.name)) return { state: "forced", reason: FORCED };
    const key = keyOf(recipe);
    const found = await store.inspect(key);
    const last = runs.last(step.name);
    const same = last !== undefined && keyOf(last) === key;
    if (found.state === "whole") {
      return { state: "hit", reason: same ? "unchanged" : "made before", stored: found.stored };
    }
    if (found.state === "damaged") {
      return { state: "run", reason: `its artifact is damaged: ${found.why}` };
    }
    if (last === undefined) return { state: "run", reason: "not made before" };
    if (same) return { state: "run", reason: "its artifact is gone" };
    return { state: "run", reason: describeDifference(last, recipe) };
  }

  /** The stage of a step. */
  stage(step: Step): AnyStage {
    const stage = this.#options.stages[step.stage];
    if (stage === undefined) throw new Error(`Cannot find stage "${step.stage}" any more`);
    return stage;
  }

  async #fingerprint(step: Step): Promise<unknown> {
    const known = this.#fingerprints.get(step) ??
      this.stage(step).fingerprint?.(step.params, this.#options.files);
    if (known !== undefined) this.#fingerprints.set(step, known);
    return await known;
  }

  async #row(
    step: Step,
    artifacts: Map<string, Artifact>,
  ): Promise<Pick<PlannedStep, "state" | "reason" | "key">> {
    // Asked even where it is not needed yet, so that a missing file shows before any work.
    await this.#fingerprint(step);
    const missing = needsOf(step).filter((name) => !artifacts.has(name));
    if (missing.length > 0) {
      const forced = this.#options.force?.has(step.name);
      return forced
        ? { state: "forced", reason: FORCED }
        : { state: "run?", reason: dependsOn(missing) };
    }
    const recipe = await this.recipe(step, artifacts);
    const decision = await this.decide(step, recipe);
    if (decision.state === "hit") artifacts.set(step.name, decision.stored.artifact);
    return { state: decision.state, reason: decision.reason, key: keyOf(recipe) };
  }
}

/** Names of the steps that feed a step, each once. */
export function needsOf(step: Step): readonly string[] {
  return [...new Set(Object.values(step.inputs).flat())];
}

function dependsOn(names: readonly string[]): string {
  return `depends on ${names.map((name) => `"${name}"`).join(" and ")}`;
}

function withoutPlaces(params: unknown, places: readonly PropertyKey[]): unknown {
  if (places.length === 0 || typeof params !== "object" || params === null) return params;
  return Object.fromEntries(Object.entries(params).filter(([name]) => !places.includes(name)));
}
