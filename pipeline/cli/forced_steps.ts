import type { Manifest } from "../manifest/manifest.ts";
import { matchSteps, splitPatterns } from "../manifest/selection.ts";
import type { Flags } from "./flags.ts";
import { UsageError } from "./usage_error.ts";
import { asUsage } from "./selected_steps.ts";

/** The steps that `--force` names, by patterns, of all steps or of those that are selected. */
export function forcedSteps(
  { steps }: Manifest,
  force: Flags["force"],
  selected?: ReadonlySet<string>,
): ReadonlySet<string> {
  if (force === undefined) return new Set();
  const all = steps.map(({ name }) => name);
  const names = all.filter((name) => selected?.has(name) ?? true);
  for (const pattern of splitPatterns(force)) {
    if (!all.includes(pattern) || names.includes(pattern)) continue;
    throw new UsageError(
      `Cannot force step "${pattern}": it is not selected, expected one of ${names.join(", ")}`,
    );
  }
  return asUsage(() => matchSteps(splitPatterns(force), { names, verb: "force" }));
}
