import { dirname, join } from "node:path";
import { deserialize, serialize } from "node:v8";
import { crc32 } from "node:zlib";
import type { Journal } from "../stage.ts";
import { isNoFile, syncDirectory } from "./durable.ts";
import { chunksOf } from "./hash.ts";
import { openOwnDirectory } from "./owner_only.ts";

/** Whose journal it is. */
export interface JournalOwner {
  /** What runs the kernels, as far as its bits may differ from another's. */
  readonly machine?: string | undefined;
  onForeign?(machine: string): void;
}

const LINE_END = 10;

/** Bytes before an entry's content: its artifact's key, a checksum and a length, each with its end. */
const HEAD_BYTES = 64 + 1 + 8 + 1 + 15 + 1;

/**
 * The journal of one artifact: a file an entry in a directory of its own.
 *
 * An entry begins with the artifact's key, its length and the CRC-32 of its name and content, so that
 * one of another artifact, one under another name and a damaged one are all known for what they are:
 * what nobody damages on purpose needs no more, and sha256 would take longer than all else (1.8
 * against 18 GB/s). It is written beside its place and renamed, so that whoever is killed leaves the entry before or the whole
 * new one. It goes to the disk while the stage works on, and is there before the next is begun: a
 * power loss can take the newest entry, and then what is left of it counts as damaged.
 *
 * An entry states the machine that made it. Another one rounds otherwise, so that its work does not
 * go on from there.
 */
export class FileJournal implements Journal, AsyncDisposable {
  readonly #directory: string;
  readonly #key: string;
  readonly #machine: string;
  #onForeign: (machine: string) => void;
  #made = false;
  #syncing: Promise<{ readonly error: unknown } | undefined> | undefined;

  /** `onForeign` hears, once, of the machine whose entries are left alone. */
  constructor(
    directory: string,
    key: string,
    { machine = "", onForeign = () => {} }: JournalOwner = {},
  ) {
    this.#directory = directory;
    this.#key = key;
    this.#machine = machine;
    this.#onForeign = onForeign;
  }

  async recall<T>(name: string, make: () => Promise<T>): Promise<T> {
    const kept = await this.read(name);
    if (kept) return deserialize(kept);
    const value = await make();
    await this.write(name, serialize(value));
    return value;
  }

  async read(name: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const bytes = await Deno.readFile(this.#place(name)).catch((error) => {
      if (isNoFile(error)) return undefined;
      throw error;
    });
    const content = bytes?.subarray(HEAD_BYTES);
    if (!bytes || !content) return undefined;
    const head = new TextDecoder().decode(bytes.subarray(0, HEAD_BYTES));
    if (head !== this.#head(name, content)) return undefined;
    const end = content.indexOf(LINE_END);
    const machine = new TextDecoder().decode(content.subarray(0, end));
    if (machine === this.#machine) return content.subarray(end + 1);
    this.#onForeign(machine);
    this.#onForeign = () => {};
    return undefined;
  }

  async write(name: string, content: Uint8Array): Promise<void> {
    await this.#settled();
    const machine = new TextEncoder().encode(`${this.#machine}\n`);
    if (!this.#made) await this.#open();
    this.#made = true;
    const next = `${this.#place(name)}.next`;
    // What is short is done at once: waiting for its turn can take longer than a small entry does.
    const file = Deno.openSync(next, { create: true, truncate: true, write: true });
    try {
      const head = new TextEncoder().encode(this.#head(name, machine, content));
      for (let at = 0; at < head.length;) at += file.writeSync(head.subarray(at));
      for (let at = 0; at < machine.length;) at += file.writeSync(machine.subarray(at));
      for (let at = 0; at < content.length;) at += await file.write(content.subarray(at));
      replace(next, this.#place(name));
    } catch (error) {
      file.close();
      await Deno.remove(next).catch(() => {});
      throw error;
    }
    this.#syncing = this.#sync(file);
  }

  async keep(name: string, path: string): Promise<void> {
    const place = this.#place(`${name}-file`);
    await removeFile(place);
    await this.#open();
    await linkOrCopy(path, place);
    await this.write(name, serialize(await checksumOf(place)));
    const entry = this.#syncing;
    const content = this.#sync(await Deno.open(place));
    this.#syncing = Promise.all([entry, content]).then(([one, other]) => one ?? other);
  }

  async restore(name: string, path: string): Promise<boolean> {
    const kept = await this.read(name);
    const place = this.#place(`${name}-file`);
    if (!kept || deserialize(kept) !== await checksumOf(place).catch(() => undefined)) return false;
    await linkOrCopy(place, path);
    return true;
  }

  /** Waits for the disk; what it says is for the next `write` alone. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#settled().catch(() => {});
  }

  async #open(): Promise<void> {
    await openOwnDirectory(dirname(this.#directory));
    await openOwnDirectory(this.#directory);
  }

  /** Waits until the entry written last is on disk; throws what went wrong with it. */
  async #settled(): Promise<void> {
    const syncing = this.#syncing;
    this.#syncing = undefined;
    const failed = await syncing;
    if (failed) throw failed.error;
  }

  /** Brings an entry to the disk while the stage goes on; never throws. */
  async #sync(file: Deno.FsFile): Promise<{ readonly error: unknown } | undefined> {
    try {
      // Together, since only what is read again decides whether an entry counts.
      await Promise.all([file.sync(), syncDirectory(this.#directory)]);
      return undefined;
    } catch (error) {
      return { error };
    } finally {
      file.close();
    }
  }

  #head(name: string, ...parts: readonly Uint8Array[]): string {
    const sum = parts.reduce((sum, part) => crc32(part, sum), crc32(`${name}\n`));
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    return `${this.#key} ${sum.toString(16).padStart(8, "0")} ${String(length).padStart(15)}\n`;
  }

  #place(name: string): string {
    if (/^[\w-]+$/.test(name)) return join(this.#directory, name);
    throw new TypeError(
      `Cannot keep "${name}" in a journal: expected a name of letters, digits, "_" and "-"`,
    );
  }
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  await Deno.link(from, to).catch(() => Deno.copyFile(from, to));
}

async function removeFile(path: string): Promise<void> {
  await Deno.remove(path).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

/** CRC-32 and length of a file. */
async function checksumOf(path: string): Promise<string> {
  using file = await Deno.open(path);
  let [sum, size] = [0, 0];
  for await (const bytes of chunksOf(file)) {
    sum = crc32(bytes, sum);
    size += bytes.length;
  }
  return `${sum} ${size}`;
}

function replace(next: string, place: string): void {
  try {
    Deno.renameSync(next, place);
  } catch (error) {
    // Somebody's directory lies there, which counts as not kept.
    if (!(error instanceof Deno.errors.IsADirectory)) throw error;
    Deno.removeSync(place, { recursive: true });
    Deno.renameSync(next, place);
  }
}
