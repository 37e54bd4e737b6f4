import { join } from "node:path";
import type { Artifact, FileRecord, KeyDocument } from "../artifact.ts";
import type { Step } from "../manifest/manifest.ts";
import { byPlace } from "../manifest/needs.ts";
import type { Runs } from "../store/runs.ts";
import type { Store } from "../store/store.ts";
import { statedRecord } from "../store/record.ts";

/** Where artifacts and what is known of earlier ones lie. */
interface Known {
  readonly store: Store;
  readonly runs: Runs;
}

/** Files named; more are only counted. */
const NAMED = 3;

/** Words for the inputs of a step whose files can be compared with those before, by place. */
export async function describeInputs(
  step: Step,
  { before, artifacts, ...known }: Known & {
    readonly before: KeyDocument;
    readonly artifacts: ReadonlyMap<string, Artifact>;
  },
): Promise<Record<string, string>> {
  const words: Record<string, string> = {};
  const digests = byPlace(before.inputs);
  for (const [place, feed] of byPlace(step.inputs)) {
    const [then, here] = [digests.get(place), artifacts.get(feed)];
    if (!then || !here || then === here.digest) continue;
    const files = await describeFiles(then, here, known);
    const [input, index] = place.split(".");
    const name = `"${input}"${index ? ` ${index}` : ""}`;
    if (files) words[place] = `input ${name} changed: ${files}`;
  }
  return words;
}

/**
 * How the files of an artifact differ from those of one with another digest: `2 of 210 files
 * (part-003.bin, part-017.bin)`; undefined where that one is gone.
 */
async function describeFiles(
  before: string,
  now: Artifact,
  { store, runs }: Known,
): Promise<string | undefined> {
  const [then, here] = await Promise.all([
    filesOf(before, { store, key: runs.keyOf(before) }),
    filesOf(now.digest, { store, key: now.key }),
  ]);
  if (then === undefined || here === undefined) return undefined;
  const paths = [...new Set([...then.keys(), ...here.keys()])].sort();
  const changed = paths.filter((path) => then.get(path) !== here.get(path));
  const named = [...changed.slice(0, NAMED), ...changed.length > NAMED ? ["…"] : []].join(", ");
  return `${changed.length} of ${paths.length} ${paths.length === 1 ? "file" : "files"} (${named})`;
}

/** Digests of an artifact's files by path, if the one under the key still has these contents. */
async function filesOf(
  digest: string,
  { store, key }: { readonly store: Store; readonly key: string | undefined },
): Promise<ReadonlyMap<string, string> | undefined> {
  if (key === undefined) return undefined;
  const record = await statedRecord(join(store.path, "artifacts", key));
  if (record.digest !== digest || !Array.isArray(record.files)) return undefined;
  return new Map(record.files.map((file: FileRecord) => [file.path, file.sha256]));
}
