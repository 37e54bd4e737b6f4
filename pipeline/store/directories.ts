import { join } from "node:path";
import { openOwnDirectory } from "./owner_only.ts";
import { storing } from "./trouble.ts";

/** What the names of artifacts, locks and journals are: keys. */
export const KEY = /^[0-9a-f]{64}$/;

/** Makes the directories of a store without which no artifact can be made. */
export async function openDirectories(store: string): Promise<void> {
  for (const name of ["artifacts", "tmp", "quarantine"]) {
    Deno.mkdirSync(join(store, name), { recursive: true });
  }
  await openOwnDirectory(join(store, "locks"));
  // Nobody means to commit gigabytes.
  const ignored = join(store, ".gitignore");
  if (await isThere(ignored)) return;
  await Deno.writeTextFile(ignored, "*\n", { createNew: true }).catch((error) => {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  });
}

/**
 * An empty directory in `tmp/` for whoever holds a key's lock.
 *
 * It is removed, if it still lies there, when it is disposed of; after a crash by the next sweep.
 */
export async function openTemporary(
  store: string,
  key: string,
): Promise<AsyncDisposable & { readonly path: string }> {
  const name = `${key}.${Deno.pid}.${crypto.randomUUID().slice(0, 8)}`;
  const path = join(store, "tmp", name);
  await storing(store, () => Promise.resolve(Deno.mkdirSync(path)));
  return { path, [Symbol.asyncDispose]: () => removeAll(path) };
}

/** The key in the name of what lies in `tmp/` or `quarantine/`. */
export function keyIn(name: string): string | undefined {
  return /^([0-9a-f]{64})\./.exec(name)?.[1];
}

/** Removes a file or a directory with all that is in it, as far as the system lets. */
export async function removeAll(path: string): Promise<void> {
  if (await isThere(path)) await Deno.remove(path, { recursive: true }).catch(() => {});
}

/** What lies in a directory; nothing if there is none. */
export async function entriesOf(path: string): Promise<Deno.DirEntry[]> {
  return await Array.fromAsync(Deno.readDir(path)).catch(() => []);
}

/** Whether anything lies at a path. */
export function isThere(path: string): Promise<boolean> {
  return Promise.resolve(found(() => Deno.lstatSync(path)) !== undefined);
}

/** Whether a directory lies at a path. */
export function isDirectory(path: string): Promise<boolean> {
  return Promise.resolve(found(() => Deno.statSync(path))?.isDirectory ?? false);
}

/** What is asked at once, for a thread to wait in takes longer; nothing where it throws. */
function found<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}
