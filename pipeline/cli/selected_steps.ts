import type { Command } from "commander";
import type { Manifest } from "../manifest/manifest.ts";
import { matchSteps, type Selection, selectSteps, splitPatterns } from "../manifest/selection.ts";
import { UsageError } from "./told_error.ts";
import type { Flags } from "./flags.ts";

/** Adds the options that select steps. */
export function addSelectionOptions(command: Command): Command {
  const collect = (text: string, before: readonly string[] = []) => [
    ...before,
    ...splitPatterns(text),
  ];
  return command
    .option("--from <steps>", "only these steps and those behind them; names or patterns", collect)
    .option("--until <steps>", "only these steps and those they need", collect)
    .option("--only <steps>", "only these steps", collect);
}

/** The steps that a command's own options select, or undefined where none of them is given. */
export function selectedSteps(
  manifest: Manifest,
  own: Readonly<Record<string, unknown>>,
): ReadonlySet<string> | undefined {
  const { from, until, only } = own as Selection;
  if (!from && !until && !only) return undefined;
  return asUsage(() => selectSteps(manifest, { from, until, only }));
}

/** The one step that a word names. */
export function namedStep({ steps }: Manifest, word: string): string {
  const names = steps.map(({ name }) => name);
  const [name, ...more] = asUsage(() => matchSteps([word], { names, verb: "find" }));
  if (name !== undefined && more.length === 0) return name;
  throw new UsageError(
    `Cannot tell which step "${word}" is: expected one of ${[name, ...more].join(", ")}`,
  );
}

/** Throws a wrong choice of steps as a wrong command line. */
function asUsage<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
}

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
