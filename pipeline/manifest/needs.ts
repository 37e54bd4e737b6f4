import type { Step } from "./manifest.ts";

/** Names of the steps that feed a step, each once. */
export function needsOf(step: Pick<Step, "inputs">): readonly string[] {
  return [...new Set(Object.values(step.inputs).flat())];
}

/** Some steps and all that they need, directly or not; `steps` have inputs first. */
export function withAncestors(
  steps: readonly Step[],
  names: ReadonlySet<string>,
): ReadonlySet<string> {
  const found = new Set(names);
  for (const step of steps.toReversed()) {
    if (found.has(step.name)) { for (const need of needsOf(step)) found.add(need); }
  }
  return found;
}

/** Some steps and all that need them, directly or not; `steps` have inputs first. */
export function withDescendants(
  steps: readonly Step[],
  names: ReadonlySet<string>,
): ReadonlySet<string> {
  const found = new Set(names);
  for (const step of steps) {
    if (needsOf(step).some((need) => found.has(need))) found.add(step.name);
  }
  return found;
}

/** Inputs in which something else stands at each place. */
export function mapInputs<T, U>(
  inputs: Readonly<Record<string, T | readonly T[]>>,
  change: (value: T) => U,
): Record<string, U | U[]> {
  const changed = Object.entries(inputs).map(([input, values]) =>
    [input, Array.isArray(values) ? values.map(change) : change(values as T)] as const
  );
  return Object.fromEntries(changed);
}

/** What stands at each place of some inputs, one value a place: `model`, or `reports.0` in a list. */
export function byPlace<T extends string>(
  inputs: Readonly<Record<string, T | readonly T[]>>,
): ReadonlyMap<string, T> {
  return new Map(
    Object.entries(inputs).flatMap(([input, values]) =>
      typeof values === "string"
        ? [[input, values] as const]
        : values.map((value, index) => [`${input}.${index}`, value] as const)
    ),
  );
}
