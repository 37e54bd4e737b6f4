import type { Artifact } from "../artifact.ts";
import type { PlannedStep } from "../event.ts";
import type { Manifest, Step } from "../manifest/manifest.ts";
import { needsOf } from "../manifest/needs.ts";
import { dependsOn, MAKING, type Plan } from "./planner.ts";
import { type Bounds, lookUp } from "./preflight/bounds.ts";
import { forecastAll, type Found } from "./preflight/forecasts.ts";
import { messageOf } from "../errors.ts";
import type { Facts, Forecast, Registry } from "../stage.ts";
import type { Store } from "../store/store.ts";
import { formatBytes } from "../words.ts";

export type { Bounds };

/** What nobody here knows of other machines. */
const UNKNOWN = {
  machine: undefined,
  hostBytes: undefined,
  deviceBytes: undefined,
  limits: undefined,
  measure: undefined,
};

/** What a preflight needs beside plan and manifest. */
export interface PreflightOptions {
  readonly store: Store;
  readonly stages: Registry;
  /** The facts of an artifact that is there, from its headers alone. */
  readonly facts?: ((artifact: Artifact) => Promise<Facts>) | undefined;
  /** Asked only where a step would be made whose stage can forecast. */
  readonly bounds?: (() => Bounds | Promise<Bounds>) | undefined;
  /**
   * Whether the machine is measured, to say how long steps take of which no run tells: always, or where
   * much is written.
   */
  readonly timing?: "always" | "large" | undefined;
  /** Whether other machines do the work: nothing is known of their memory. */
  readonly elsewhere?: boolean | undefined;
  /** What whoever asks for a step wants of it besides. */
  readonly demand?: StepDemand | undefined;
}

/** What is wanted of a step's artifact beside what its stage does. */
export interface StepDemand {
  readonly step: string;
  /** Throws a sentence where that cannot be; told of what is known of steps before any is made. */
  check(factsOf: (step: string) => Promise<Facts | undefined>): Promise<void>;
}

/**
 * Adds to a plan what its steps will take, and blocks those that cannot fit.
 *
 * Memory is compared step by step, the disk with all that is written up to a step. A step whose
 * stage has no forecast, or that is behind such a step, counts as unknown and is let be.
 */
export async function preflight(
  plan: Plan,
  { steps }: Pick<Manifest, "steps">,
  options: PreflightOptions,
): Promise<Plan> {
  const rows = new Map(plan.steps.map((row) => [row.name, row]));
  // What may run counts as if it did.
  const making = steps.filter(({ name }) => MAKING.has(rows.get(name)?.state ?? "skipped"));
  if (!making.some(({ stage }) => options.stages[stage]?.forecast)) return plan;
  const here = await lookUp(await options.bounds?.(), options.store.path);
  const bounds = options.elsewhere ? { ...here, ...UNKNOWN } : here;
  const untold = making.some(({ name }) => rows.get(name)?.estimate === undefined);
  const forecast = (rates?: unknown) =>
    forecastAll(making, { ...options, artifacts: plan.artifacts, bounds, rates });
  const measure = untold ? bounds.measure : undefined;
  let forecasts = await forecast(options.timing === "always" ? await measure?.() : undefined);
  if (options.timing === "large" && measure && writtenBytes(forecasts) > LARGE_BYTES) {
    forecasts = await forecast(await measure());
  }
  const faults = new Map(plan.faults);
  const unmet = await unmetDemand(forecasts, { ...options, artifacts: plan.artifacts });
  if (unmet) faults.set(unmet.step, unmet.error);
  let written = 0;
  let { diskBytes: disk = Infinity } = bounds;
  for (const [name, found] of forecasts) {
    if (found instanceof Error) faults.set(name, found);
    if (found === undefined || found instanceof Error) continue;
    const problems = memoryProblems(found, bounds);
    const kept = found.diskBytes - (found.linkedBytes ?? 0);
    const needed = kept + (found.workBytes ?? 0);
    if (written + needed > disk) {
      problems.push(diskProblem({ needed, written, disk, store: options.store.path }));
      // Every step behind it would say the same.
      disk = Infinity;
    }
    written += kept;
    if (problems.length === 0) continue;
    faults.set(name, new RangeError(`Cannot fit step "${name}" ${problems.join("; nor ")}`));
  }
  const { machine } = bounds;
  return {
    ...plan,
    ...machine !== undefined && { machine },
    steps: rowsWith(plan.steps, { steps, forecasts, faults }),
    faults,
  };
}

/** Why a demand cannot be met, as far as anybody can say. */
async function unmetDemand(
  forecasts: ReadonlyMap<string, Found>,
  { demand, facts, artifacts }:
    & Pick<PreflightOptions, "demand" | "facts">
    & Pick<Plan, "artifacts">,
): Promise<{ readonly step: string; readonly error: unknown } | undefined> {
  if (!demand || !forecasts.has(demand.step)) return undefined;
  const factsOf = async (step: string) => {
    const found = forecasts.get(step);
    if (found instanceof Error) return undefined;
    const artifact = artifacts.get(step);
    return found?.facts ?? (artifact && await facts?.(artifact).catch(() => undefined));
  };
  try {
    await demand.check(factsOf);
  } catch (error) {
    return { step: demand.step, error };
  }
}

/** The rows with their forecasts; those with a fault and those that need them are blocked. */
function rowsWith(
  planned: readonly PlannedStep[],
  { steps, forecasts, faults }: {
    readonly steps: readonly Step[];
    readonly forecasts: ReadonlyMap<string, Found>;
    readonly faults: ReadonlyMap<string, unknown>;
  },
): PlannedStep[] {
  const needs = new Map(steps.map((step) => [step.name, needsOf(step)]));
  const rows = new Map<string, PlannedStep>();
  for (const row of planned) {
    const { name } = row;
    const found = forecasts.get(name);
    const told = found && !(found instanceof Error) ? { ...row, ...toldBy(found, row) } : row;
    const blockers = (needs.get(name) ?? []).filter((need) => rows.get(need)?.state === "blocked");
    const reason = faults.has(name)
      ? messageOf(faults.get(name))
      : MAKING.has(row.state) && blockers.length > 0
      ? dependsOn(blockers)
      : undefined;
    rows.set(name, reason === undefined ? told : { ...told, state: "blocked", reason });
  }
  return [...rows.values()];
}

/** Steps that write more together take long enough for measuring the machine to be worth it. */
const LARGE_BYTES = 2 ** 28;

function writtenBytes(forecasts: ReadonlyMap<string, Found>): number {
  return [...forecasts.values()].reduce(
    (sum, found) => sum + (found && !(found instanceof Error) ? found.diskBytes : 0),
    0,
  );
}

/** What a forecast says of a step; how long it takes only where no earlier run does. */
function toldBy(
  { deviceBytes, hostBytes, diskBytes, linkedBytes = 0, seconds }: Forecast,
  { estimate }: PlannedStep,
) {
  const cost = seconds !== undefined && estimate === undefined &&
    { estimate: { seconds, bytes: diskBytes - linkedBytes, predicted: true as const } };
  return { forecast: { deviceBytes, hostBytes, diskBytes }, ...cost };
}

/** Where in memory a step cannot fit, with the numbers. */
function memoryProblems({ deviceBytes, hostBytes }: Forecast, bounds: Bounds): string[] {
  const { hostBytes: host = Infinity, deviceBytes: device } = bounds;
  const problems: string[] = [];
  const shared = device === "host";
  const memory = shared ? hostBytes + deviceBytes : hostBytes;
  if (memory > host) {
    const part = shared && deviceBytes > 0 ? `, ${formatBytes(deviceBytes)} as the device` : "";
    problems.push(
      `in memory: it takes ${formatBytes(memory)} at its peak${part}, expected at most ${
        formatBytes(host)
      }; free some memory, or say a larger --memory if the system has it`,
    );
  }
  if (typeof device === "number" && deviceBytes > device) {
    problems.push(
      `on the device: it takes ${formatBytes(deviceBytes)} at its peak, expected at most ${
        formatBytes(device)
      }; lower --memory, or what the step keeps at once`,
    );
  }
  return problems;
}

/** Why a step cannot fit on the disk, with the numbers. */
function diskProblem({ needed, written, disk, store }: {
  readonly needed: number;
  readonly written: number;
  readonly disk: number;
  readonly store: string;
}): string {
  const before = written > 0 ? ` behind ${formatBytes(written)} of steps before it` : "";
  return `on the disk: it writes ${formatBytes(needed)}${before} and ${
    formatBytes(disk)
  } are free in ${store}, expected ${
    formatBytes(written + needed)
  }; free some, run gc, or choose another --store`;
}
