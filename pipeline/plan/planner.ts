import type { Artifact, KeyDocument } from "../artifact.ts";
import { describeDifference } from "./difference.ts";
import { Estimates } from "./estimates.ts";
import type { PlannedStep, PlanState } from "../event.ts";
import { describeInputs } from "./input_change.ts";
import { keyOf } from "../store/key.ts";
import type { Manifest, Step } from "../manifest/manifest.ts";
import { mapInputs, needsOf, withAncestors } from "../manifest/needs.ts";
import type { Runs } from "../store/runs.ts";
import type { AnyStage, FileDigests, Registry } from "../stage.ts";
import { messageOf } from "../errors.ts";
import type { Store, Stored } from "../store/store.ts";

/** What decides whether a step runs. */
export interface PlannerOptions {
  readonly store: Store;
  readonly stages: Registry;
  readonly files: FileDigests;
  readonly runs: Runs;
  /** Steps to make even if their artifacts are there. */
  readonly force?: ReadonlySet<string> | undefined;
  /** Steps to look at; all unless said. What they need of others is reused at most. */
  readonly selected?: ReadonlySet<string> | undefined;
  /** Ends the planning, which may have to read large files, and a run at the next good moment. */
  readonly signal?: AbortSignal | undefined;
}

/** What every step of a manifest will do. */
export interface Plan {
  /** What steps will be made on, where some will and it is known. */
  readonly machine?: string;
  readonly steps: readonly PlannedStep[];
  /** What was thrown for the steps that are blocked by themselves. */
  readonly faults: ReadonlyMap<string, unknown>;
  /** Key documents of the steps that were looked at, without inputs whose bytes are not there yet. */
  readonly documents: ReadonlyMap<string, KeyDocument>;
  /** Artifacts that are there, or in the remote, and would be reused. */
  readonly artifacts: Artifacts;
}

/** Artifacts of the steps that are made, by step. */
export type Artifacts = ReadonlyMap<string, Artifact>;

/** What to do with a step whose inputs are known, and why. */
export type Decision =
  | { readonly state: "hit" | "hit (remote)"; readonly reason: string; readonly stored: Stored }
  | { readonly state: "run" | "forced"; readonly reason: string };

/** What a plan knows while it goes through the steps. */
interface Knowledge {
  readonly artifacts: Map<string, Artifact>;
  /** Steps whose artifacts will be there later. */
  readonly pending: Set<string>;
  /** Steps whose artifacts can never be there, for a reason that is told at another step. */
  readonly broken: Set<string>;
  /** By key, the step that makes it. */
  readonly making: Map<string, string>;
  readonly documents: Map<string, KeyDocument>;
}

type PlannedRow = Pick<PlannedStep, "state" | "reason" | "key">;

const FORCED = "asked for";

/** Decides for every step whether it runs, and says why. `plan` and `run` ask the same one. */
export class Planner {
  readonly #options: PlannerOptions;
  readonly #estimates: Estimates;
  /** Once a step, so that a plan and the run after it look at the same outside data. */
  readonly #fingerprints = new Map<Step, Promise<unknown>>();

  constructor(options: PlannerOptions) {
    this.#options = options;
    this.#estimates = new Estimates({ store: options.store.path, runs: options.runs });
  }

  /** Looks at every step and changes nothing; rows are in the order of the manifest. */
  async plan({ steps }: Manifest): Promise<Plan> {
    const known: Knowledge = {
      artifacts: new Map(),
      pending: new Set(),
      broken: new Set(),
      making: new Map(),
      documents: new Map(),
    };
    const faults = new Map<string, unknown>();
    const rows: PlannedStep[] = [];
    const used = this.used(steps);
    for (const step of steps) {
      const row = !used.has(step.name)
        ? { state: "skipped", reason: "not selected" } as const
        : await this.#row(step, known).catch((error): PlannedRow => {
          this.#options.signal?.throwIfAborted();
          known.broken.add(step.name);
          faults.set(step.name, error);
          return { state: "blocked", reason: messageOf(error) };
        });
      const document = known.documents.get(step.name);
      const estimate = MAKING.has(row.state) && document &&
        await this.#estimates.of(step.name, document);
      rows.push({ name: step.name, stage: step.stage, ...row, ...estimate && { estimate } });
    }
    return { steps: rows, faults, documents: known.documents, artifacts: known.artifacts };
  }

  /** Names of the steps that are selected or that those need; only they are looked at. */
  used(steps: readonly Step[]): ReadonlySet<string> {
    const { selected } = this.#options;
    return selected ? withAncestors(steps, selected) : new Set(steps.map(({ name }) => name));
  }

  /** Whether a step may be made. */
  isSelected({ name }: Step): boolean {
    return this.#options.selected?.has(name) ?? true;
  }

  /** The key document of a step; all its inputs must be there. */
  async keyDocument(step: Step, artifacts: Artifacts): Promise<KeyDocument> {
    const missing = needsOf(step).find((name) => !artifacts.has(name));
    if (missing !== undefined) throw new Error(`Cannot key "${step.name}" before "${missing}"`);
    return await this.#outline(step, artifacts);
  }

  /** Whether a step with this key document runs; `artifacts` are those of its inputs. */
  async decide(step: Step, document: KeyDocument, artifacts: Artifacts): Promise<Decision> {
    const { store, runs, force } = this.#options;
    if (force?.has(step.name)) return { state: "forced", reason: FORCED };
    const key = keyOf(document);
    const found = await store.inspect(key);
    const last = runs.last(step.name);
    const same = last !== undefined && keyOf(last) === key;
    if (found.state === "whole") {
      return { state: "hit", reason: same ? "unchanged" : "made before", stored: found.stored };
    }
    if (found.state === "remote") {
      const reason = same ? "unchanged" : "made elsewhere";
      return { state: "hit (remote)", reason, stored: found.stored };
    }
    const { trouble } = found;
    const also = trouble === undefined ? "" : `; the remote cannot be asked: ${trouble}`;
    if (found.state === "damaged") {
      const reason = `its artifact is damaged: ${found.why}`;
      const { remote } = found;
      if (remote) return { state: "hit (remote)", reason, stored: remote };
      return { state: "run", reason: `${reason}${also}` };
    }
    if (last === undefined) return { state: "run", reason: `not made before${also}` };
    if (same) return { state: "run", reason: `its artifact is gone${also}` };
    const inputs = await describeInputs(step, { before: last, artifacts, store, runs });
    return { state: "run", reason: `${describeDifference(last, document, { inputs })}${also}` };
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

  /** The key document of a step without inputs that are not there yet. */
  async #outline(step: Step, artifacts: Artifacts): Promise<KeyDocument> {
    const stage = this.stage(step);
    const there = Object.entries(step.inputs)
      .filter(([, feeds]) => [feeds].flat().every((name) => artifacts.has(name)));
    const digest = (name: string) => artifacts.get(name)?.digest ?? "";
    const fingerprint = await this.#fingerprint(step);
    return {
      stage: step.stage,
      version: stage.version,
      params: withoutPlaces(step.params, stage),
      inputs: mapInputs(Object.fromEntries(there), digest),
      ...fingerprint !== undefined && { fingerprint },
    };
  }

  async #row(step: Step, known: Knowledge): Promise<PlannedRow> {
    const { name } = step;
    const { artifacts, pending, broken, making, documents } = known;
    const isSelected = this.isSelected(step);
    const needs = needsOf(step);
    const breakers = needs.filter((need) => broken.has(need));
    if (breakers.length > 0) {
      broken.add(name);
      const reason = dependsOn(breakers);
      return isSelected ? { state: "blocked", reason } : { state: "skipped", reason };
    }
    const missing = needs.filter((need) => !artifacts.has(need));
    const lacking = missing.filter((need) => !pending.has(need));
    if (lacking.length > 0 && isSelected) throw new Error(lackSentence(name, lacking[0] ?? ""));
    if (lacking.length > 0) {
      return { state: "skipped", reason: `not selected, ${dependsOn(lacking)}` };
    }
    // Asked even where it is not needed yet, so that a missing file shows before any work.
    const document = await this.#outline(step, artifacts);
    documents.set(name, document);
    if (missing.length > 0) {
      pending.add(name);
      const reason = dependsOn(missing);
      if (!isSelected) return { state: "skipped", reason: `not selected, ${reason}` };
      const forced = this.#options.force?.has(name);
      return forced ? { state: "forced", reason: FORCED } : { state: "run?", reason };
    }
    const key = keyOf(document);
    const decision = await this.decide(step, document, artifacts);
    if (decision.state === "hit" || decision.state === "hit (remote)") {
      const { state, reason, stored } = decision;
      artifacts.set(name, stored.artifact);
      if (isSelected) return { state, reason, key };
      const use = state === "hit" ? "its artifact is used" : reason;
      return { state: "skipped", reason: `not selected, ${use}`, key };
    }
    if (!isSelected) {
      if (making.has(key)) pending.add(name);
      return { state: "skipped", reason: `not selected, ${decision.reason}`, key };
    }
    pending.add(name);
    const twin = making.get(key);
    // The first of two equal steps makes the artifact, and the second finds it.
    if (twin !== undefined && decision.state === "run") {
      return { state: "run?", reason: `the same as "${twin}"`, key };
    }
    making.set(key, name);
    return { state: decision.state, reason: decision.reason, key };
  }
}

/** States of steps that would or may be made. */
export const MAKING: ReadonlySet<PlanState> = new Set(["run", "run?", "forced"]);

/** Why a step cannot be made whose input comes from a step that is not selected. */
export function lackSentence(step: string, need: string): string {
  return `Cannot make step "${step}": it needs "${need}", which is not selected and not in the ` +
    `store; make it with --until ${need} first`;
}

/** Says which steps another waits for. */
export function dependsOn(names: readonly string[]): string {
  return `depends on ${names.map((name) => `"${name}"`).join(" and ")}`;
}

/** Parameters without those that say where outside data lies, as key documents have them. */
export function withoutPlaces(params: unknown, { places = [] }: AnyStage): unknown {
  if (places.length === 0 || typeof params !== "object" || params === null) return params;
  return Object.fromEntries(Object.entries(params).filter(([name]) => !places.includes(name)));
}
