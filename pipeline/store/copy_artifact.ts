import { createHash } from "node:crypto";
import { basename, dirname, join, relative, resolve } from "node:path";
import type { FileRecord } from "../artifact.ts";
import { move, syncDirectory } from "./durable.ts";
import { entriesOf, isThere, removeAll } from "./directories.ts";
import { chunksOf } from "./hash.ts";
import { recordBytes } from "./record.ts";

/**
 * Copies an artifact's files into a directory of its own, whole or not at all; gives the bytes.
 *
 * Every byte is compared with the record on the way. The copies are the user's: writable, and no links
 * into the store. A directory that is not empty stays unless it is to be replaced.
 */
export async function copyArtifact(
  { path, files }: { readonly path: string; readonly files: readonly FileRecord[] },
  directory: string,
  { replace }: { readonly replace: boolean },
): Promise<number> {
  const to = await placeOf(directory);
  await refuseTaken(to, { from: path, replace });
  const next = beside(to);
  try {
    for (const file of files) await copyFile(file, { from: path, to: next });
    await Deno.mkdir(next, { recursive: true });
    await syncDirectory(next);
    await takePlace(next, to);
  } catch (error) {
    await removeAll(next);
    throw error;
  }
  return recordBytes({ files });
}

/** Where a directory really lies: a link to it is followed. */
async function placeOf(directory: string): Promise<string> {
  return await Deno.realPath(directory).catch(() => resolve(directory));
}

async function refuseTaken(
  to: string,
  { from, replace }: { readonly from: string; readonly replace: boolean },
): Promise<void> {
  if (!await isThere(to)) return;
  if (!(await Deno.stat(to)).isDirectory) {
    throw new Error(`Cannot copy to ${to}: it is a file, expected a directory or nothing`);
  }
  const there = await entriesOf(to);
  if (there.length === 0) return;
  if (!replace) {
    throw new Error(
      `Cannot copy to ${to}: it holds ${there.length} entries, expected an empty directory or none; ` +
        "--force replaces it",
    );
  }
  // Above the store or where we stand, replacing would take more than was meant.
  for (const inner of [await Deno.realPath(from), Deno.cwd()]) {
    if (relative(to, inner).startsWith("..")) continue;
    throw new Error(`Cannot replace ${to}: ${inner} lies in it, expected a directory of its own`);
  }
}

async function copyFile(
  { path, size, sha256 }: FileRecord,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<void> {
  const target = join(to, path);
  await Deno.mkdir(dirname(target), { recursive: true });
  using source = await Deno.open(join(from, path));
  using copy = await Deno.open(target, { write: true, createNew: true });
  const hash = createHash("sha256");
  let copied = 0;
  for await (const bytes of chunksOf(source)) {
    hash.update(bytes);
    for (let at = 0; at < bytes.length;) at += await copy.write(bytes.subarray(at));
    copied += bytes.length;
  }
  if (copied !== size || hash.digest("hex") !== sha256) {
    throw new Error(
      `Cannot copy ${
        join(from, path)
      }: it has other bytes than recorded, expected those; run it again`,
    );
  }
  await copy.sync();
}

/** Moves a finished directory to its place; what was there goes only once the new one is in place. */
async function takePlace(next: string, to: string): Promise<void> {
  if (!await isThere(to)) return await move(next, to);
  const old = beside(to);
  await move(to, old);
  try {
    await move(next, to);
  } catch (error) {
    await move(old, to);
    throw error;
  }
  await removeAll(old);
}

function beside(to: string): string {
  return join(dirname(to), `.${basename(to)}.${crypto.randomUUID().slice(0, 8)}`);
}
