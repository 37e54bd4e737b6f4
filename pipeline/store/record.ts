import { join } from "node:path";
import type { ArtifactRecord, FileRecord } from "../artifact.ts";
import { keyOf } from "./key.ts";
import { digestOf, RECORD, sealOf } from "./contents.ts";
import { readOwnJson, syncDirectory } from "./durable.ts";

/** A record that is as it was written, or what is wrong with it. */
export type ReadRecord = { readonly record: ArtifactRecord } | { readonly why: string };

/** Reads the record of an artifact's directory; what it says of itself is checked, its files are not. */
export async function readRecord(directory: string, key: string): Promise<ReadRecord> {
  const read = await readOwnJson(join(directory, RECORD));
  if (read === undefined) return { why: `${RECORD} is missing or no JSON` };
  return checkRecord(read, key);
}

/** What an artifact's directory states, unchecked: it is good for words alone. */
export async function statedRecord(directory: string): Promise<Partial<ArtifactRecord>> {
  const read = await readOwnJson(join(directory, RECORD)).catch(() => undefined);
  return typeof read === "object" && read !== null ? read : {};
}

/** Size of an artifact's files. */
export function recordBytes({ files = [] }: Pick<Partial<ArtifactRecord>, "files">): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** Whether parsed JSON is the record of a key as it was written. */
export function checkRecord(value: unknown, key: string): ReadRecord {
  return isRecord(value, key) ? { record: value } : { why: `${RECORD} is not as it was written` };
}

/** The record of sealed files. */
export function sealedRecord(
  facts: Omit<ArtifactRecord, "digest" | "created" | "seal">,
): ArtifactRecord {
  const created = new Date().toISOString();
  const stated = { ...facts, digest: digestOf(facts.files), created };
  return { ...stated, seal: sealOf(stated) };
}

/** Writes the record beside sealed files; the directory is an artifact when this returns. */
export async function writeRecord(directory: string, record: ArtifactRecord): Promise<void> {
  const path = join(directory, RECORD);
  {
    using file = Deno.openSync(path, { createNew: true, write: true });
    const bytes = new TextEncoder().encode(`${JSON.stringify(record, null, 2)}\n`);
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    await file.sync();
  }
  if (Deno.build.os !== "windows") Deno.chmodSync(path, 0o444);
  await syncDirectory(directory);
}

function isRecord(value: unknown, key: string): value is ArtifactRecord {
  if (typeof value !== "object" || value === null) return false;
  const record = value as ArtifactRecord;
  try {
    return record.key === key && record.seal === sealOf(record) && keyOf(record.recipe) === key &&
      record.files.every(isFileRecord) && record.digest === digestOf(record.files);
  } catch {
    // Whatever cannot be read as fields of a record was not written by us.
    return false;
  }
}

/** Whether a file is named by a path that stays in the artifact's directory; records travel. */
function isFileRecord({ path, size, sha256 }: FileRecord): boolean {
  const inside = path.split("/").every((name) => !["", ".", ".."].includes(name));
  const plain = Deno.build.os !== "windows" || !/[\\:]/.test(path);
  return Number.isSafeInteger(size) && size >= 0 && /^[0-9a-f]{64}$/.test(sha256) &&
    inside && plain && path !== RECORD;
}
