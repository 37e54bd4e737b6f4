import type { Describe, Description } from "../../description.ts";
import { describeFiles } from "../inspect/artifact.ts";
import { artifactOf } from "../inspect/scored.ts";
import { goesOn, type RunRecord, type StepRecord } from "../../store/runs.ts";
import { recordBytes } from "../../store/record.ts";
import type { Store, Stored } from "../../store/store.ts";
import { sha256 } from "../../store/hash.ts";

/** A step of a run with all that is still known of its artifact. */
export interface StepReport extends StepRecord {
  /** The artifact, if the store still has it whole. */
  readonly stored?: Stored;
  /** Why it has not, where there was one. */
  readonly trouble?: string;
  readonly description?: Description;
}

/** A file of the manifest. */
export interface SourceText {
  readonly path: string;
  /** As it is now; undefined where it cannot be read any more. */
  readonly text: string | undefined;
  /** Whether that is what the run has read; undefined where no record tells. */
  readonly same: boolean | undefined;
}

/** All that a report tells of a run. */
export interface RunReport {
  readonly run: RunRecord;
  /** Whether the run has a process that is at work. */
  readonly goesOn: boolean;
  readonly store: string;
  readonly steps: readonly StepReport[];
  readonly sources: readonly SourceText[];
}

/** Gathers what the store, the program and the manifest's files tell of a run. */
export async function gatherReport(
  run: RunRecord,
  { store, describe }: { readonly store: Store; readonly describe: Describe | undefined },
): Promise<RunReport> {
  const steps: StepReport[] = [];
  for (const step of run.steps) steps.push({ ...step, ...await stillThere(step, store, describe) });
  const files = run.sources ?? [{ path: run.manifest, sha256: undefined }];
  const sources = await Promise.all(files.map(async (file): Promise<SourceText> => {
    const text = await Deno.readTextFile(file.path).catch(() => undefined);
    const same = file.sha256 === undefined || text === undefined
      ? undefined
      : sha256(text) === file.sha256;
    return { path: file.path, text, same };
  }));
  return { run, goesOn: await goesOn(store.path, run), store: store.path, steps, sources };
}

async function stillThere(
  step: StepRecord,
  store: Store,
  describe: Describe | undefined,
): Promise<Pick<StepReport, "stored" | "trouble" | "description">> {
  const found = await artifactOf(step, store);
  if (!("stored" in found)) return found;
  const { path, kind } = found.stored.artifact;
  const description = await describeFiles(path, { kind, describe });
  return { ...found, ...description && { description } };
}

/** What a step's artifact took when it was made, in seconds. */
export function madeSeconds({ stored, cost }: StepReport): number | undefined {
  return stored?.record.seconds ?? cost?.seconds;
}

/** What a step's artifact was made on, where that decides its numbers. */
export function madeOn({ stored, adapter }: StepReport): string | undefined {
  return stored?.record.metrics?.adapter ?? adapter;
}

/** Size of a step's artifact in bytes. */
export function sizeOf({ stored, cost }: StepReport): number | undefined {
  return stored ? recordBytes(stored.record) : cost?.bytes;
}

/** A part of the page under a heading of its own. */
export interface PagePart {
  /** Anchor of the heading. */
  readonly id: string;
  readonly title: string;
  readonly html: string;
}
