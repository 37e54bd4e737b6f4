import { join } from "node:path";
import { type Findings, markdownOf } from "./findings.ts";

/** What was found, for people and for machines. */
export const PAGE = "gpu-check.md";
export const JSON_FILE = "gpu-check.json";

/** Writes both files of a check; threads that write at once do so by other names. */
export function writeFindings(out: string, findings: Findings, by = "next"): void {
  for (
    const [name, text] of [
      [JSON_FILE, `${JSON.stringify(findings, null, 1)}\n`],
      [PAGE, markdownOf(findings)],
    ] as const
  ) {
    // Whoever is ended while he writes leaves the older one.
    const path = join(out, name);
    Deno.writeTextFileSync(`${path}.${by}`, text);
    Deno.renameSync(`${path}.${by}`, path);
  }
}

/** What a check has found so far. */
export function readFindings(out: string): Findings {
  return JSON.parse(Deno.readTextFileSync(join(out, JSON_FILE)));
}
