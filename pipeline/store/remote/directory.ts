import { dirname, join, resolve } from "node:path";
import { type LocalFile, type Remote, wrongFile, WrongObject } from "../remote.ts";
import { isNoFile, move, syncDirectory } from "../durable.ts";
import { entriesOf, isDirectory } from "../directories.ts";
import { chunksOf } from "../hash.ts";
import { CheckedFile } from "./checked_file.ts";
import { type Objects, remoteOver } from "./object_remote.ts";

/**
 * A directory that several machines share, such as one on NFS.
 *
 * Writing needs renames within the directory and nothing else: no locks, no links, no exclusive
 * creation and no clocks.
 */
export async function openSharedDirectory(place: string): Promise<Remote> {
  const path = resolve(place);
  // Made unasked it would hide that a network file system is not mounted.
  if (!await isDirectory(path)) {
    throw new TypeError(
      `Cannot open the remote ${place}: there is no such directory; make it or mount it first`,
    );
  }
  return remoteOver(objectsIn(path));
}

function objectsIn(root: string): Objects {
  const at = (name: string) => join(root, name);
  const size = async (name: string): Promise<number | undefined> => {
    const info = await unlessMissing(() => Deno.stat(at(name)));
    return info?.isFile ? info.size : undefined;
  };
  return {
    name: root,
    size,
    read: async (name, limit) => {
      const bytes = await size(name) ?? 0;
      if (bytes > limit) {
        throw new WrongObject(`${name} has ${bytes} bytes, expected ${limit} at most`);
      }
      return await unlessMissing(() => Deno.readFile(at(name)));
    },
    fetch: async (name, file, signal) => {
      using from = await unlessMissing(() => Deno.open(at(name)));
      if (!from) return false;
      for await (const bytes of chunksOf(from, signal)) await file.write(bytes);
      return true;
    },
    put: (name, bytes) =>
      replace(root, name, async (path) => {
        using file = await Deno.open(path, { create: true, truncate: true, write: true });
        for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
        await file.sync();
      }),
    upload: async (name, local, signal) => {
      try {
        await replace(root, name, (next) => copy(local, next, signal));
        await tidy(root, name);
      } catch (error) {
        // Another machine that copied the same may have been first, and have tidied up.
        if (error instanceof WrongObject) throw wrongFile(local.path);
        signal?.throwIfAborted();
        if (await size(name) !== local.size) throw error;
      }
    },
  };
}

/** Writes an object beside its place, syncs it and moves it there. */
async function replace(
  root: string,
  name: string,
  write: (path: string) => Promise<void>,
): Promise<void> {
  const place = join(root, name);
  const parent = dirname(place);
  const next = join(root, "tmp", `${word(name)}${crypto.randomUUID()}`);
  for (const one of [parent, dirname(next)]) await Deno.mkdir(one, { recursive: true });
  try {
    await write(next);
    if (Deno.build.os !== "windows") await Deno.chmod(next, 0o444).catch(() => {});
    await move(next, place);
  } catch (error) {
    await Deno.remove(next).catch(() => {});
    throw error;
  }
  // Some network file systems cannot sync a directory.
  await syncDirectory(parent).catch(() => {});
}

/**
 * Removes what others who were writing an object have left behind.
 *
 * One that is still at work fails, and finds the object in place.
 */
async function tidy(root: string, name: string): Promise<void> {
  const tmp = join(root, "tmp");
  for (const { name: left } of await entriesOf(tmp)) {
    if (left.startsWith(word(name))) await Deno.remove(join(tmp, left)).catch(() => {});
  }
}

/** How files in `tmp/` begin that become an object. */
function word(name: string): string {
  return `${name.replaceAll("/", ".")}.`;
}

async function copy(
  { path, ...contents }: LocalFile,
  to: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  using file = await Deno.open(path);
  using copied = await CheckedFile.create(to, path, contents);
  for await (const bytes of chunksOf(file, signal)) await copied.write(bytes);
  copied.check();
  await copied.sync();
}

async function unlessMissing<T>(work: () => Promise<T>): Promise<T | undefined> {
  return await work().catch((error) => {
    if (!isNoFile(error)) throw error;
    return undefined;
  });
}
