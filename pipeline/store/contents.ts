import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ArtifactRecord, FileRecord } from "../artifact.ts";
import { canonicalJson } from "./key.ts";
import { syncDirectory } from "./durable.ts";
import { type FileState, fileStateOf, unsettled } from "./file_state.ts";
import { hashFile, sha256 } from "./hash.ts";
import { shareFile } from "./shared_files.ts";

/** Name of an artifact's record; no stage may write it. */
export const RECORD = "artifact.json";

/** Files that are made durable at once. */
const FILES_AT_ONCE = 8;

/** The longest wait for a clock's tick before a file is read; where ticks are longer it is read again. */
const PATIENCE_MS = 50;

/** Files that are durable and read-only now. */
export interface Sealed {
  readonly files: readonly FileRecord[];
  /** Their states when their bytes were read, or null where a change just before would not show. */
  readonly states: readonly (FileState | null)[];
}

/**
 * Makes a directory's files durable and read-only, and lists them by path.
 *
 * `shared` is where equal files are made one. Throws a RangeError for what an artifact cannot hold:
 * links, and a file named like the record.
 */
export async function sealFiles(directory: string, shared: string): Promise<Sealed> {
  const files: FileRecord[] = [];
  const states: (FileState | null)[] = [];
  const { paths, directories } = await listFiles(directory);
  if (paths.includes(RECORD)) {
    throw new RangeError(`Cannot store "${RECORD}" of a stage: the name is taken by the record`);
  }
  for (let first = 0; first < paths.length; first += FILES_AT_ONCE) {
    // Clocks and disks are waited for together.
    const part = paths.slice(first, first + FILES_AT_ONCE);
    const sealed = await Promise.all(part.map((path) => sealFile(directory, path)));
    for (const { path, size, sha256, state } of sealed) {
      files.push({ path, size, sha256 });
      const full = join(directory, path);
      states.push(await shareFile(shared, { path: full, size, sha256 }) ?? state);
    }
  }
  for (const one of directories) await syncDirectory(one);
  return { files, states };
}

/** Makes a file durable and read-only; its state is null where a change just before would not show. */
async function sealFile(
  directory: string,
  path: string,
): Promise<FileRecord & { readonly state: FileState | null }> {
  const full = join(directory, path);
  if (Deno.build.os !== "windows") Deno.chmodSync(full, 0o444);
  const state = await settledState(full);
  using file = Deno.openSync(full);
  const { sha256, size } = await hashFile(file);
  await file.sync();
  return { path, size, sha256, state };
}

/** What an artifact's digest is: sha256 over its sorted files. */
export function digestOf(files: readonly FileRecord[]): string {
  return sha256(canonicalJson(files.map(({ path, size, sha256 }) => [path, size, sha256])));
}

/** What a record's seal is: sha256 over all its other fields. */
export function sealOf(record: Omit<ArtifactRecord, "seal"> & { readonly seal?: string }): string {
  return sha256(canonicalJson({ ...record, seal: undefined }));
}

/** The state of a file in which any later change will show, or null. */
async function settledState(path: string): Promise<FileState | null> {
  const state = fileStateOf(Deno.statSync(path));
  const wait = unsettled(state, Date.now());
  if (wait > PATIENCE_MS) return null;
  if (wait > 0) await sleep(wait);
  return state;
}

/** Paths of all files below a directory, sorted, and its directories, the outermost last. */
async function listFiles(
  root: string,
  below = "",
): Promise<{ readonly paths: readonly string[]; readonly directories: readonly string[] }> {
  const here = join(root, below);
  const paths: string[] = [];
  const directories: string[] = [];
  for await (const entry of Deno.readDir(here)) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory) {
      const inner = await listFiles(root, path);
      paths.push(...inner.paths);
      directories.push(...inner.directories);
    } else if (entry.isFile) paths.push(path);
    else throw new RangeError(`Cannot store "${path}": it is a link, expected a file`);
  }
  return { paths: paths.sort(), directories: [...directories, here] };
}
