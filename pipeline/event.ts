import type { Note } from "./artifact.ts";
import type { StageError } from "./run/stage_error.ts";

/**
 * What a plan says of a step.
 *
 * `hit`: its artifact is there. `run`: it will be made. `run?`: it depends on a step that runs, and is
 * made unless that step gives the same bytes as before. `forced`: it is made because the user says so.
 * `blocked`: something is wrong with it, or with a step it needs.
 */
export type PlanState = "hit" | "run" | "run?" | "forced" | "blocked";

/** One row of a plan. */
export interface PlannedStep {
  readonly name: string;
  readonly stage: string;
  readonly state: PlanState;
  /** Why, in words. */
  readonly reason: string;
  /** Known unless it depends on bytes that are not there yet. */
  readonly key?: string;
}

/** How a step of a run ended; `stopped` ones were interrupted or not begun. */
export type EndState = "hit" | "run" | "failed" | "blocked" | "stopped";

/** The last event of a run. */
export interface Summary {
  readonly type: "summary";
  readonly ok: boolean;
  readonly seconds: number;
  readonly steps: readonly {
    readonly name: string;
    readonly state: EndState;
    readonly seconds: number;
  }[];
  /** By score, or by `step.score` where several steps have some. */
  readonly scores: Readonly<Record<string, number>>;
}

/** An artifact as events tell of it. */
export interface StepResult {
  readonly step: string;
  readonly key: string;
  readonly digest: string;
  readonly path: string;
  readonly seconds: number;
  readonly scores: Readonly<Record<string, number>>;
}

/**
 * What a run reports. The terminal, JSON lines and the tests read the same stream.
 *
 * A step gives `reuse`, or `start` and then one of `done`, `reuse` (another process was faster),
 * `failed` and `stopped`. Seconds of `reuse` are those the artifact took when it was made.
 */
export type RunEvent =
  | {
    readonly type: "plan";
    readonly manifest: string;
    readonly store: string;
    readonly steps: readonly PlannedStep[];
  }
  | {
    readonly type: "start";
    readonly step: string;
    readonly stage: string;
    readonly key: string;
    readonly reason: string;
  }
  | (StepResult & { readonly type: "reuse"; readonly reason: string })
  | {
    readonly type: "progress";
    readonly step: string;
    readonly done: number;
    readonly total: number;
    readonly note?: string;
  }
  | (Note & { readonly type: "note"; readonly step: string; readonly replayed: boolean })
  | {
    readonly type: "quarantined";
    readonly step: string;
    readonly key: string;
    readonly reason: string;
    readonly path: string;
  }
  | (StepResult & { readonly type: "done" })
  | {
    readonly type: "failed";
    readonly step: string;
    readonly message: string;
    readonly error: StageError;
  }
  | { readonly type: "stopped"; readonly step: string }
  | Summary;

/** Takes the events of a run as they happen. */
export type Emit = (event: RunEvent) => void;
