import { join, resolve } from "node:path";
import { readOwnJson, replaceFile } from "./durable.ts";
import { type FileState, fileStateOf, sameState } from "./file_state.ts";
import { hashFile, sha256 as sha256Of } from "./hash.ts";
import type { FileDigests } from "../stage.ts";

/** A file as it was when its bytes were read. */
interface Memo extends FileState {
  readonly sha256: string;
}

/** Changes closer together than this may carry one time on coarse file systems. */
const TICK_MS = 2000;

/**
 * Digests of files outside the store, remembered in it by path, size, inode and time of change.
 *
 * A file that changed just before it was read is read again the next time, since another change
 * within the same tick of the clock would not show. Call `save` to keep what was learned.
 */
export class DigestMemo implements FileDigests {
  readonly #path: string;
  readonly #signal: AbortSignal | undefined;
  readonly #reading = new Map<string, Promise<string>>();
  readonly #learned = new Map<string, Memo>();
  #saved: Promise<Map<string, Memo>> | undefined;

  constructor(store: string, { signal }: { readonly signal?: AbortSignal | undefined } = {}) {
    this.#path = join(store, "digests.json");
    this.#signal = signal;
  }

  async digest(path: string, before?: () => Promise<unknown>): Promise<string> {
    const full = resolve(path);
    const reading = this.#reading.get(full) ?? this.#read(full, path, before);
    this.#reading.set(full, reading);
    try {
      return await reading;
    } finally {
      this.#reading.delete(full);
    }
  }

  /** Writes what was learned; a store that cannot be written goes without. */
  async save(): Promise<void> {
    if (this.#learned.size === 0) return;
    const files = Object.fromEntries([...await load(this.#path), ...this.#learned]);
    const text = JSON.stringify({ files, seal: sealOf(files) }, null, 1);
    await replaceFile(this.#path, text).catch(() => {});
  }

  async #read(full: string, name: string, before?: () => Promise<unknown>): Promise<string> {
    this.#saved ??= load(this.#path);
    const now = await look(full, name);
    const memo = this.#learned.get(full) ?? (await this.#saved).get(full);
    if (memo && sameState(memo, now)) return memo.sha256;
    await before?.();
    const start = Date.now();
    using file = await Deno.open(full);
    const { sha256 } = await hashFile(file, this.#signal);
    if (!sameState(now, await look(full, name))) {
      throw new Error(`Cannot take the digest of ${name}: it changed while it was read`);
    }
    if (start - now.changed > TICK_MS) this.#learned.set(full, { ...now, sha256 });
    return sha256;
  }
}

async function look(full: string, name: string): Promise<FileState> {
  const info = await Deno.stat(full).catch((error) => {
    const why = error instanceof Deno.errors.NotFound ? "there is no such file" : error.message;
    throw new Error(`Cannot read ${name}: ${why}`);
  });
  if (!info.isFile) throw new TypeError(`Cannot take the digest of ${name}: expected a file`);
  return fileStateOf(info);
}

/** What is remembered; nothing of a memory that is not as it was written. */
async function load(path: string): Promise<Map<string, Memo>> {
  const read = await readOwnJson(path).catch(() => undefined) as
    | { readonly files?: Record<string, Memo>; readonly seal?: string }
    | null
    | undefined;
  const whole = read?.files && read.seal === sealOf(read.files) ? read.files : {};
  return new Map(Object.entries(whole));
}

/** A wrong digest would give a wrong key: sha256 over all that is remembered. */
function sealOf(files: Readonly<Record<string, Memo>>): string {
  return sha256Of(JSON.stringify(files));
}
