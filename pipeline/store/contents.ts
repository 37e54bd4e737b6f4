import { join } from "node:path";
import type { ArtifactRecord, FileRecord } from "../artifact.ts";
import { syncDirectory } from "./durable.ts";
import { hashFile, sha256 } from "./hash.ts";
import { canonicalJson } from "../key.ts";

/** Name of an artifact's record; no stage may write it. */
export const RECORD = "artifact.json";

/**
 * Makes a directory's files durable and read-only, and lists them by path.
 *
 * Throws a RangeError for what an artifact cannot hold: links, and a file named like the record.
 */
export async function sealFiles(directory: string): Promise<FileRecord[]> {
  const files: FileRecord[] = [];
  for (const path of await listFiles(directory)) {
    if (path === RECORD) {
      throw new RangeError(`Cannot store "${RECORD}" of a stage: the name is taken by the record`);
    }
    const full = join(directory, path);
    {
      using file = await Deno.open(full);
      const { sha256, size } = await hashFile(file);
      await file.sync();
      files.push({ path, size, sha256 });
    }
    if (Deno.build.os !== "windows") await Deno.chmod(full, 0o444);
  }
  return files;
}

/** What an artifact's digest is: sha256 over its sorted files. */
export function digestOf(files: readonly FileRecord[]): string {
  return sha256(canonicalJson(files.map(({ path, size, sha256 }) => [path, size, sha256])));
}

/** What a record's seal is: sha256 over all its other fields. */
export function sealOf(record: Omit<ArtifactRecord, "seal"> & { readonly seal?: string }): string {
  return sha256(canonicalJson({ ...record, seal: undefined }));
}

/** What is wrong with the files of an artifact, or undefined when all is as recorded. */
export async function findDamage(
  directory: string,
  { files, verify }: { readonly files: readonly FileRecord[]; readonly verify: "size" | "full" },
): Promise<string | undefined> {
  for (const { path, size, sha256 } of files) {
    const full = join(directory, path);
    const info = await Deno.stat(full).catch(() => undefined);
    if (info === undefined || !info.isFile) return `${path} is missing`;
    if (info.size !== size) return `${path} has ${info.size} bytes, expected ${size}`;
    if (verify === "size") continue;
    using file = await Deno.open(full);
    if ((await hashFile(file)).sha256 !== sha256) return `${path} has other bytes than recorded`;
  }
  return undefined;
}

/** Paths of all files below a directory, sorted; syncs the directories on the way. */
async function listFiles(root: string, below = ""): Promise<string[]> {
  const here = join(root, below);
  const paths: string[] = [];
  for await (const entry of Deno.readDir(here)) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory) paths.push(...await listFiles(root, path));
    else if (entry.isFile) paths.push(path);
    else throw new RangeError(`Cannot store "${path}": it is a link, expected a file`);
  }
  await syncDirectory(here);
  return paths.sort();
}
