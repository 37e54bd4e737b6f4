import type { Artifact } from "../../artifact.ts";
import type { Step } from "../../manifest/manifest.ts";
import type { Artifacts } from "../planner.ts";
import { messageOf } from "../../errors.ts";
import type { Facts, Forecast, Registry } from "../../stage.ts";
import type { Bounds } from "./bounds.ts";

/** The forecast of a step, why its stage would refuse, or nothing where nobody can say. */
export type Found = Forecast | Error | undefined;

/** Forecasts of steps in an order where inputs come first. */
export async function forecastAll(
  making: readonly Step[],
  { stages, facts, artifacts, bounds, rates }: {
    readonly stages: Registry;
    readonly facts?: ((artifact: Artifact) => Promise<Facts>) | undefined;
    readonly artifacts: Artifacts;
    readonly bounds: Bounds;
    /** How fast the machine is, if that is known. */
    readonly rates?: unknown;
  },
): Promise<ReadonlyMap<string, Found>> {
  const found = new Map<string, Found>();
  const known = new Map<string, Promise<Facts | undefined>>();
  const factsOf = (name: string): Promise<Facts | undefined> => {
    const artifact = artifacts.get(name);
    // What cannot be read here is for the stage that needs it to tell.
    const asked = known.get(name) ?? (artifact && facts?.(artifact).catch(() => undefined));
    const answer = asked ?? Promise.resolve(undefined);
    known.set(name, answer);
    return answer;
  };
  for (const step of making) {
    const forecast = await forecastOf(step, { stages, bounds, rates, factsOf });
    found.set(step.name, forecast);
    const facts = forecast instanceof Error ? undefined : forecast?.facts;
    known.set(step.name, Promise.resolve(facts));
  }
  return found;
}

async function forecastOf(
  { stage: name, inputs, params }: Step,
  { stages, bounds, rates, factsOf }: {
    readonly stages: Registry;
    readonly bounds: Bounds;
    readonly rates: unknown;
    factsOf(step: string): Promise<Facts | undefined>;
  },
): Promise<Found> {
  const stage = stages[name];
  if (!stage?.forecast) return undefined;
  const given: Record<string, Facts | readonly Facts[] | undefined> = {};
  for (const [input, kind] of Object.entries(stage.inputs as Readonly<Record<string, string>>)) {
    const found = await Promise.all([inputs[input] ?? []].flat().map(factsOf));
    const all = found.filter((facts) => facts !== undefined);
    if (all.length < found.length) return undefined;
    given[input] = kind.includes("[]") ? all : all[0];
  }
  try {
    const { memoryBytes, limits } = bounds;
    return await stage.forecast(given, params, { memoryBytes, limits, rates });
  } catch (error) {
    // Only a sentence is a refusal; that a forecast itself fails must not stop anybody.
    return messageOf(error).startsWith("Cannot ") ? error as Error : undefined;
  }
}
