import { access, constants, statfs } from "node:fs/promises";
import { formatBytes } from "../words.ts";

/** Codes by which systems say that a disk, or what a user may have of it, is full. */
const FULL: readonly string[] = ["ENOSPC", "EDQUOT"];
/** Codes by which systems refuse to write. */
const REFUSED: readonly string[] = ["EROFS", "EACCES", "EPERM"];
/** Codes of a path that is taken by something else. */
const TAKEN: readonly string[] = ["EEXIST", "ENOTDIR", "EISDIR", "ENOTEMPTY"];

/** Does work of a store; what the system refuses is told in a sentence that names the store. */
export async function storing<T>(store: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = codeOf(error);
    const failed = `Cannot write to the store ${store}: `;
    if (FULL.includes(code)) throw await fullDisk(store, error);
    if (REFUSED.includes(code)) {
      const way = "name one that may be written with --store";
      throw new Error(`${failed}it is read-only here (${code}); ${way}`, { cause: error });
    }
    if (TAKEN.includes(code)) {
      const what = (error as Error).message;
      throw new Error(`${failed}something else lies there: ${what}`, { cause: error });
    }
    throw error;
  }
}

/** Makes the directory of a store; throws in a sentence unless it can be written to. */
export async function ensureWritable(store: string): Promise<void> {
  try {
    await storing(store, async () => {
      await Deno.mkdir(store, { recursive: true });
      await access(store, constants.W_OK);
    });
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
    const way = "name another place with --store";
    throw new Error(
      `Cannot write to the store ${store}: no directory can be made there (ENOENT); ${way}`,
      { cause: error },
    );
  }
}

/** Does work of a stage; that the disk is full is told in a sentence, all else passes. */
export async function filling<T>(store: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw FULL.includes(codeOf(error)) ? await fullDisk(store, error) : error;
  }
}

/** Bytes that can still be written where a path lies, or undefined where the system does not say. */
export async function freeBytes(path: string): Promise<number | undefined> {
  const facts = await statfs(path).catch(() => undefined);
  // What has no blocks at all, as /proc, does not count them.
  return facts && facts.blocks > 0 ? facts.bavail * facts.bsize : undefined;
}

async function fullDisk(store: string, cause: unknown): Promise<Error> {
  const free = await freeBytes(store);
  // A stage may have filled another disk; the number tells.
  const left = free === undefined ? "" : `, ${formatBytes(free)} free where the store lies`;
  const what = `no space left on device${left}`;
  return new Error(`Cannot write to the store ${store}: ${what}; free some, or run gc`, { cause });
}

/** The system's code behind an error, or "". */
function codeOf(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as { readonly code?: unknown };
    if (typeof code === "string") return code;
  }
  return "";
}
