import type { Describe, Figure } from "../../description.ts";
import type { RunRecord, StepRecord } from "../../store/runs.ts";
import type { Store, Stored } from "../../store/store.ts";
import { describeFiles } from "./artifact.ts";

/** Figures of the scored steps of a run, by the steps' names. */
export type ScoredSteps = ReadonlyMap<string, readonly Figure[]>;

/** What the program tells of a run's scored steps, with errors, as far as the store still has them. */
export async function scoredSteps(
  { steps }: RunRecord,
  { store, describe }: { readonly store: Store; readonly describe: Describe | undefined },
): Promise<ScoredSteps> {
  const found = new Map<string, readonly Figure[]>();
  for (const step of steps) {
    const look = await artifactOf(step, store);
    if (!("stored" in look) || Object.keys(look.stored.artifact.scores).length === 0) continue;
    const { path, kind } = look.stored.artifact;
    const { figures = [] } = await describeFiles(path, { kind, describe }) ?? {};
    if (figures.length > 0) found.set(step.name, figures);
  }
  return found;
}

/** The artifact that a step of a run made or took, or why it is not there any more; neither where it had none. */
export async function artifactOf(
  { key, digest }: StepRecord,
  store: Store,
): Promise<{ readonly stored: Stored } | { readonly trouble?: string }> {
  // Without a digest nothing was made: what lies under the key, if anything, is of a later run.
  if (key === undefined || digest === undefined) return {};
  const found = await store.inspect(key);
  if (found.state === "damaged") return { trouble: `it is damaged: ${found.why}` };
  if (found.state !== "whole") return { trouble: "it is not in the store any more" };
  const { stored } = found;
  return stored.artifact.digest === digest
    ? { stored }
    : { trouble: "it was made again with other bytes after this run" };
}

/** The scores of a run's record that its figures do not tell. */
export function untoldScores(
  { scores }: RunRecord,
  figures: ScoredSteps,
): Readonly<Record<string, number>> {
  const told = (name: string) =>
    figures.has(name.slice(0, Math.max(0, name.lastIndexOf(".")))) ||
    // That of a run's only scored step has no step before it.
    Object.keys(scores).every((one) => !one.includes(".")) && figures.size > 0;
  return Object.fromEntries(Object.entries(scores).filter(([name]) => !told(name)));
}
