import { join } from "node:path";
import type { ArtifactRecord } from "../artifact.ts";
import { canonicalJson } from "./key.ts";
import type { Remote } from "./remote.ts";
import { RECORD, sealFiles } from "./contents.ts";
import { readRecord, writeRecord } from "./record.ts";
import type { States } from "./verified.ts";

/** An artifact that a remote gave, checked and ready to be published. */
export interface Downloaded {
  readonly record: ArtifactRecord;
  readonly states: States;
}

/**
 * Fetches an artifact into an empty directory and checks every byte of it.
 *
 * Gives undefined where the remote does not have it; throws where it is not what its key says.
 */
export async function download(
  remote: Remote,
  { key, directory, shared, signal }: {
    readonly key: string;
    readonly directory: string;
    /** Where equal files are made one. */
    readonly shared: string;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<Downloaded | undefined> {
  if (!await remote.has(key) || !await remote.fetch(key, directory, signal)) return undefined;
  signal?.throwIfAborted();
  const read = await readRecord(directory, key);
  if ("why" in read) throw new Error(read.why);
  await Deno.remove(join(directory, RECORD));
  const { files, states } = await sealFiles(directory, shared);
  const expected = new Map(read.record.files.map((file) => [file.path, canonicalJson(file)]));
  const wrong = files.find((file) => expected.get(file.path) !== canonicalJson(file))?.path ??
    read.record.files.find(({ path }) => !files.some((file) => file.path === path))?.path;
  if (wrong !== undefined) throw new Error(`${wrong} is not as it was recorded`);
  // The record stays word for word, so that both places have the same one.
  await writeRecord(directory, read.record);
  return { record: read.record, states };
}
