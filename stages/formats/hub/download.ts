import { downloadFile, type ListFileEntry } from "@huggingface/hub";
import { createHash } from "node:crypto";
import { dirname, join, relative } from "node:path";
import type { HubPlace } from "./place.ts";
import type { HubSettings } from "./settings.ts";

/** How a download is watched and stopped. */
export interface HubOptions {
  readonly signal?: AbortSignal;
  /** Told of bytes that are there and bytes in all, with the file being fetched. */
  progress?(done: number, total: number, note?: string): void;
}

/** One file of one commit, and where the cache keeps it. */
export interface HubFile {
  readonly place: HubPlace;
  readonly commit: string;
  /** The repository's folder in the cache. */
  readonly folder: string;
  readonly entry: ListFileEntry;
}

/** Failures in a row, without a byte gained, after which a download gives up. */
const PATIENCE = 4;

/**
 * Brings a file into the cache, in the layout of Python's `huggingface_hub`, and returns its path.
 *
 * A download goes on where an earlier one stopped, and its digest is checked at the end. Another
 * process that fetches the same file is waited for.
 */
export async function fetchFile(
  { place, commit, folder, entry }: HubFile,
  settings: HubSettings,
  options: HubOptions,
): Promise<string> {
  const pointer = join(folder, "snapshots", commit, checkPath(entry.path, place));
  if (await sizeOf(pointer) === entry.size) return pointer;
  const digest = entry.lfs?.oid ?? entry.xetHash ?? entry.oid ?? "";
  const blob = join(folder, "blobs", checkPath(digest, place));
  await Deno.mkdir(dirname(blob), { recursive: true });
  await Deno.mkdir(dirname(pointer), { recursive: true });
  if (await sizeOf(blob) !== entry.size) {
    const partial = `${blob}.incomplete`;
    using file = await Deno.open(partial, { read: true, write: true, create: true });
    await file.lock(true);
    if (await sizeOf(blob) === entry.size) {
      await Deno.remove(partial).catch(() => {});
    } else {
      const source = await openSource({ place, commit, entry }, settings, options.signal);
      await fill(file, { source, entry, options });
      await checkDigest(file, { place, entry, partial });
      await file.sync();
      await Deno.rename(partial, blob);
    }
  }
  await link(blob, pointer);
  return pointer;
}

/** Keeps a name that the hub gave from leading out of the cache. */
function checkPath(path: string, { name }: HubPlace): string {
  if (path !== "" && !/^\/|\\|(^|\/)\.{1,2}(\/|$)/.test(path)) return path;
  throw new TypeError(
    `Cannot keep "${path}" of ${name}: expected a path inside the repository`,
  );
}

/** A blob of the file's bytes that fetches only what is read. */
async function openSource(
  { place, commit, entry }: Omit<HubFile, "folder">,
  { hubUrl, accessToken }: HubSettings,
  signal: AbortSignal | undefined,
): Promise<Blob> {
  const prefix = place.type === "dataset" ? "datasets/" : "";
  const path = entry.path.split("/").map(encodeURIComponent).join("/");
  const source = await downloadFile({
    repo: { type: place.type, name: place.name },
    path: entry.path,
    revision: commit,
    downloadInfo: {
      url: `${hubUrl}/${prefix}${place.name}/resolve/${commit}/${path}`,
      size: entry.size,
      etag: "",
    },
    fetch: (input, init) => fetch(input, { ...init, ...(signal ? { signal } : {}) }),
    ...(accessToken ? { accessToken } : {}),
  });
  return source ?? new Blob();
}

async function fill(
  file: Deno.FsFile,
  { source, entry, options: { signal, progress } }: {
    readonly source: Blob;
    readonly entry: ListFileEntry;
    readonly options: HubOptions;
  },
): Promise<void> {
  let { size: done } = await file.stat();
  for (let failures = 0; done !== entry.size;) {
    if (done > entry.size) await file.truncate(done = 0);
    const before = done;
    try {
      await file.seek(done, Deno.SeekMode.Start);
      for await (const bytes of source.slice(done, entry.size).stream()) {
        signal?.throwIfAborted();
        for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
        done += bytes.length;
        progress?.(done, entry.size, entry.path);
      }
      if (done !== entry.size) throw new Error(`the answer ended after ${done} bytes`);
    } catch (cause) {
      signal?.throwIfAborted();
      failures = done > before && done < entry.size ? 1 : failures + 1;
      if (failures >= PATIENCE) {
        const reason = cause instanceof Error ? cause.message : cause;
        throw new Error(
          `Cannot fetch "${entry.path}" from the hub: ${reason}, expected ${entry.size} bytes; run ` +
            `again to go on after ${done}`,
          { cause },
        );
      }
      await new Promise((resume) => setTimeout(resume, 100 * 4 ** failures));
    }
  }
}

/** Compares with the digest the hub lists: SHA-256 of large files, the git object id of others. */
async function checkDigest(
  file: Deno.FsFile,
  { place, entry, partial }: {
    readonly place: HubPlace;
    readonly entry: ListFileEntry;
    readonly partial: string;
  },
): Promise<void> {
  const expected = entry.lfs?.oid ?? entry.oid;
  if (expected === undefined) return;
  const hash = createHash(entry.lfs ? "sha256" : "sha1");
  if (!entry.lfs) hash.update(`blob ${entry.size}\0`);
  await file.seek(0, Deno.SeekMode.Start);
  const buffer = new Uint8Array(1 << 20);
  for (let count; (count = await file.read(buffer)) !== null;) {
    hash.update(buffer.subarray(0, count));
  }
  const found = hash.digest("hex");
  if (found === expected) return;
  await Deno.remove(partial);
  throw new Error(
    `Cannot keep "${entry.path}" of ${place.name}: what came has the digest ${found}, expected ` +
      `${expected}; fetch it again`,
  );
}

async function link(blob: string, pointer: string): Promise<void> {
  await Deno.remove(pointer).catch(() => {});
  try {
    await Deno.symlink(relative(dirname(pointer), blob), pointer);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return;
    await Deno.copyFile(blob, pointer);
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  return await Deno.stat(path).then(({ size }) => size, () => undefined);
}
