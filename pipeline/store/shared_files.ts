import { basename, dirname, join } from "node:path";
import type { FileRecord } from "../artifact.ts";
import { isThere } from "./directories.ts";
import { type FileState, fileStateOf, sameState, unsettled } from "./file_state.ts";
import { fileDigest } from "./hash.ts";

/** Where the one copy of some content lies, below `files/`. */
function sharedPlace(shared: string, sha256: string): string {
  return join(shared, sha256.slice(0, 2), sha256);
}

/**
 * Makes equal files one: links a finished file into `files/`, or replaces it by a link to the copy there.
 *
 * The copy is read before it is trusted, and a damaged one is replaced by the good file. Gives the
 * state of the file that now lies at the path if it is another one. Where the system has no links,
 * nothing happens.
 */
export async function shareFile(
  shared: string,
  { path, size, sha256 }: FileRecord,
): Promise<FileState | undefined> {
  // Empty files take no space, and a link count is limited.
  if (size === 0) return undefined;
  const place = sharedPlace(shared, sha256);
  const next = `${place}.${crypto.randomUUID().slice(0, 8)}`;
  try {
    Deno.mkdirSync(dirname(place), { recursive: true });
    if (linked(path, place)) return undefined;
    const here = await Deno.stat(path);
    const there = await Deno.lstat(place);
    if (there.ino === here.ino && there.ino !== null) return undefined;
    const state = fileStateOf(there);
    const settled = unsettled(state, Date.now()) === 0;
    const good = there.isFile && there.size === size && await fileDigest(place) === sha256;
    await Deno.link(good ? place : path, next);
    await Deno.rename(next, good ? path : place);
    return good && settled && sameState(state, fileStateOf(await Deno.stat(path)))
      ? state
      : undefined;
  } catch {
    return undefined;
  } finally {
    // There still where the move was between two names of one file, which does nothing.
    if (await isThere(next)) await Deno.remove(next).catch(() => {});
  }
}

/** Whether a file in `files/` has other bytes than its name says. */
export async function isDamagedCopy(path: string): Promise<boolean> {
  return await fileDigest(path).catch(() => undefined) !== basename(path);
}

function linked(path: string, place: string): boolean {
  try {
    Deno.linkSync(path, place);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
}
