import { dirname, join } from "node:path";
import type { ArtifactRecord, FileRecord } from "../../artifact.ts";
import { type LocalFile, type Remote, WrongObject } from "../remote.ts";
import { RECORD } from "../contents.ts";
import { checkRecord, readRecord } from "../record.ts";
import { KEY } from "../directories.ts";
import { CheckedFile } from "./checked_file.ts";
import { together } from "./turns.ts";

/** Bytes by name in some place. A name shows all of its bytes or is not there. */
export interface Objects {
  /** How messages call the place. */
  readonly name: string;
  /** Bytes of an object, or undefined where it is not there. */
  size(name: string): Promise<number | undefined>;
  /** A small object; throws a {@linkcode WrongObject} where it has more bytes than `limit`. */
  read(name: string, limit: number): Promise<Uint8Array | undefined>;
  /** Streams an object into a file; false where it is not there. */
  fetch(name: string, file: CheckedFile, signal?: AbortSignal): Promise<boolean>;
  /** Writes a small object, replacing what is there. */
  put(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Streams a file there, replacing what is there; refuses one that is not as it was recorded. */
  upload(name: string, file: LocalFile, signal?: AbortSignal): Promise<void>;
}

/** Largest record that is read; a million bytes hold some 5000 files. */
const RECORD_BYTES = 16 << 20;
/** Files on their way at once, which hides the time that answers take. */
const WIDTH = 4;

/**
 * A remote over objects: `files/<sha256>` and, written last, `artifacts/<key>.json`.
 *
 * So equal files travel and lie there once, a key shows only when all of it is there, and a copy of
 * one place is another one. The record is that of the artifact word for word.
 */
export function remoteOver(objects: Objects): Remote {
  /** Objects found to be wrong, which the next push replaces. */
  const wrong = new Set<string>();

  const read = async (key: string): Promise<
    { readonly record: ArtifactRecord; readonly bytes: Uint8Array } | undefined
  > => {
    const name = recordName(key);
    const bytes = await objects.read(name, RECORD_BYTES);
    if (bytes === undefined) return undefined;
    const found = checkRecord(parse(bytes), key);
    if ("why" in found) throw new WrongObject(`${name} is not as it was written`);
    return { record: found.record, bytes };
  };

  const fetchFile = async (
    { path, ...contents }: FileRecord,
    { directory, signal }: { readonly directory: string; readonly signal: AbortSignal },
  ): Promise<void> => {
    const full = join(directory, path);
    await Deno.mkdir(dirname(full), { recursive: true });
    const name = fileName(contents.sha256);
    using file = await CheckedFile.create(full, name, contents);
    try {
      if (contents.size > 0 && !await objects.fetch(name, file, signal)) {
        throw new WrongObject(`${name} is missing there`);
      }
      file.check();
    } catch (error) {
      if (error instanceof WrongObject) wrong.add(name);
      throw error;
    }
  };

  return {
    name: objects.name,
    has: async (key) => KEY.test(key) && await objects.size(recordName(key)) !== undefined,
    record: async (key) => (await read(key))?.record,
    fetch: async (key, directory, signal) => {
      const found = await read(key);
      if (found === undefined) return false;
      await together(found.record.files, WIDTH, async (file, failed) => {
        await fetchFile(file, { directory, signal: either(signal, failed) });
      });
      await Deno.writeFile(join(directory, RECORD), found.bytes, { createNew: true });
      return true;
    },
    push: async (key, directory, signal) => {
      const here = await readRecord(directory, key);
      if ("why" in here) throw new Error(here.why);
      const { files, digest } = here.record;
      const once = new Map(files.map((file) => [file.sha256, file]));
      await together([...once.values()], WIDTH, async ({ path, size, sha256 }, failed) => {
        const both = either(signal, failed);
        const name = fileName(sha256);
        if (size === 0 || (!wrong.has(name) && await objects.size(name) === size)) return;
        await objects.upload(name, { path: join(directory, path), size, sha256 }, both);
        wrong.delete(name);
      });
      const there = await read(key).catch((error) => {
        if (!(error instanceof WrongObject)) throw error;
      });
      // The one that others have fetched stays, unless the artifact was made again with other bytes.
      if (there?.record.digest === digest) return;
      await objects.put(recordName(key), await Deno.readFile(join(directory, RECORD)));
    },
  };
}

/** Both signals; throws if one has told to stop. */
function either(signal: AbortSignal | undefined, failed: AbortSignal): AbortSignal {
  const both = signal ? AbortSignal.any([signal, failed]) : failed;
  both.throwIfAborted();
  return both;
}

function recordName(key: string): string {
  if (!KEY.test(key)) throw new RangeError(`Cannot find "${key}" in a remote: expected a key`);
  return `artifacts/${key}.json`;
}

function fileName(sha256: string): string {
  return `files/${sha256}`;
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
