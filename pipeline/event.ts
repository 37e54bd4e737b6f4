import type { Metrics, Note } from "./artifact.ts";
import type { StageError } from "./errors.ts";
import type { Forecast } from "./stage.ts";

/**
 * What a plan says of a step.
 *
 * `hit`: its artifact is there. `hit (remote)`: it is in the remote store and will be fetched. `run`: it
 * will be made. `run?`: it depends on a step that runs, and is made unless that step gives the same
 * bytes as before. `forced`: it is made because the user says so. `skipped`: it is not selected.
 * `blocked`: something is wrong with it, or with a step it needs.
 */
export type PlanState =
  | "hit"
  | "hit (remote)"
  | "run"
  | "run?"
  | "forced"
  | "skipped"
  | "blocked";

/** What earlier runs say that making an artifact takes. */
export interface StepCost {
  readonly seconds: number;
  /** Size of its files. */
  readonly bytes: number;
}

/** One row of a plan. */
export interface PlannedStep {
  readonly name: string;
  readonly stage: string;
  readonly state: PlanState;
  /** Why, in words. */
  readonly reason: string;
  /** Known unless it depends on bytes that are not there yet. */
  readonly key?: string;
  /** Of a step that would or may run, where an earlier run tells, or its stage predicts it. */
  readonly estimate?: StepCost & { readonly predicted?: true };
  /** Of a step that would or may run, where its stage can forecast. */
  readonly forecast?: Pick<Forecast, "deviceBytes" | "hostBytes" | "diskBytes">;
}

/** How a step of a run ended; `stopped` ones were interrupted or not begun, `skipped` not selected. */
export type EndState = "hit" | "run" | "failed" | "blocked" | "stopped" | "skipped";

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
  /** What the manifest expects and was not so; the artifacts are there. */
  readonly unmet?: readonly UnmetExpectation[];
}

/** A score that is not as a manifest expects it. */
export interface UnmetExpectation {
  readonly step: string;
  readonly score: string;
  /** Missing where the step has no such score. */
  readonly value?: number;
  /** The condition, such as `<= 1.05`. */
  readonly expected: string;
}

/** An artifact as events tell of it. */
export interface StepResult {
  readonly step: string;
  readonly key: string;
  readonly digest: string;
  readonly path: string;
  /** What making it took, in a `reuse` too. */
  readonly seconds: number;
  readonly scores: Readonly<Record<string, number>>;
  readonly metrics?: Metrics;
}

/** Bytes that the process at work holds. */
export interface MemoryUse {
  readonly rss: number;
  /** Of device memory, where a device is in use. */
  readonly deviceBytes?: number;
}

/**
 * What a run reports. The terminal, JSON lines and the tests read the same stream.
 *
 * The first are `selected` and `plan`, the last are `evicted` and `summary`. Between them a step gives
 * `reuse`, or `start` and then one of `done`, `reuse` (another process was faster), `failed` and
 * `stopped`; several may be at work together. `run --json` writes them as {@linkcode eventLine} does,
 * or a line of type `error` with a `message` where there is no run: fields may come, none goes.
 */
export type RunEvent =
  | {
    /** Comes first in a run of some steps only. */
    readonly type: "selected";
    readonly steps: readonly string[];
    /** Steps of the manifest. */
    readonly total: number;
  }
  | {
    readonly type: "plan";
    readonly manifest: string;
    readonly store: string;
    /** What steps will be made on, where some will and the program tells. */
    readonly machine?: string;
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
    /** The part of the work that is being done, then details. */
    readonly note?: string;
    readonly memory?: MemoryUse;
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
    /** Known of steps that were begun. */
    readonly key?: string;
    /** File with the events of the step, one a line, and the stack. */
    readonly log?: string;
    readonly error: StageError;
  }
  | {
    /** The user asked to stop: the steps at work will, at the next good moment. */
    readonly type: "stopping";
    /** The command that goes on. */
    readonly again: string;
  }
  | {
    readonly type: "stopped";
    readonly step: string;
    /** Whether the next run goes on from parts that it finished. */
    readonly kept?: boolean;
    /** File with the events of the step, one a line. */
    readonly log?: string;
  }
  | {
    /** The store was larger than its cap after the run. */
    readonly type: "evicted";
    /** What no run uses any more, the artifacts unused for longest first. */
    readonly removals: readonly {
      readonly room: string;
      readonly name: string;
      readonly stage?: string;
      readonly bytes: number;
    }[];
    readonly freed: number;
    /** Size of the store now. */
    readonly bytes: number;
    readonly maxBytes: number;
  }
  | Summary;

/** Takes the events of a run as they happen. */
export type Emit = (event: RunEvent) => void;

/** An event as a line of JSON: its type, the time (ISO 8601), its other fields, and what is added. */
export function eventLine(
  { type, ...fields }: RunEvent,
  added: Readonly<Record<string, unknown>> = {},
): string {
  return `${JSON.stringify({ type, time: new Date().toISOString(), ...fields, ...added })}\n`;
}
