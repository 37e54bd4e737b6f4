import type { Manifest } from "../manifest.ts";
import { suggestion } from "../manifest/nearest.ts";
import { UsageError } from "./command_line.ts";

/** The steps that `--force` names: some with commas between them, or `*` for all. */
export function forcedSteps({ steps }: Manifest, force: string | undefined): Set<string> {
  const names = steps.map(({ name }) => name);
  if (force === "*") return new Set(names);
  const asked = force?.split(",").map((name) => name.trim()) ?? [];
  for (const name of asked) {
    if (names.includes(name)) continue;
    throw new UsageError(`Cannot force step "${name}": ${suggestion(name, names)}`);
  }
  return new Set(asked);
}
