import { createHash } from "node:crypto";
import { join } from "node:path";
import { deserialize, serialize } from "node:v8";
import type { Journal } from "./stage.ts";
import { syncDirectory } from "./store/durable.ts";

/** Bytes before an entry's content: two hex digests and a line feed. */
const HEAD_BYTES = 64 + 64 + 1;

/**
 * The journal of one recipe: a file an entry in a directory of its own.
 *
 * An entry begins with the recipe's key and the sha256 of its name and content, so that one of
 * another recipe, one under another name and a damaged one are all known for what they are. It is
 * written beside its place, synced and renamed: a crash leaves the entry before or the whole new one.
 */
export class FileJournal implements Journal {
  readonly #directory: string;
  readonly #key: string;
  #made = false;

  constructor(directory: string, key: string) {
    this.#directory = directory;
    this.#key = key;
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
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    });
    const content = bytes?.subarray(HEAD_BYTES);
    if (!bytes || !content) return undefined;
    const head = new TextDecoder().decode(bytes.subarray(0, HEAD_BYTES));
    return head === this.#head(name, content) ? content : undefined;
  }

  async write(name: string, bytes: Uint8Array): Promise<void> {
    if (!this.#made) await Deno.mkdir(this.#directory, { recursive: true });
    this.#made = true;
    const next = `${this.#place(name)}.next`;
    try {
      using file = await Deno.open(next, { create: true, truncate: true, write: true });
      for (const part of [new TextEncoder().encode(this.#head(name, bytes)), bytes]) {
        for (let at = 0; at < part.length;) at += await file.write(part.subarray(at));
      }
      await file.sync();
    } catch (error) {
      await Deno.remove(next).catch(() => {});
      throw error;
    }
    await Deno.rename(next, this.#place(name));
    await syncDirectory(this.#directory);
  }

  async remove(name: string): Promise<void> {
    await Deno.remove(this.#place(name)).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }

  #head(name: string, content: Uint8Array): string {
    const hash = createHash("sha256").update(`${name}\n`).update(content);
    return `${this.#key}${hash.digest("hex")}\n`;
  }

  #place(name: string): string {
    if (/^[\w-]+$/.test(name)) return join(this.#directory, name);
    throw new TypeError(
      `Cannot keep "${name}" in a journal: expected a name of letters, digits, "_" and "-"`,
    );
  }
}
