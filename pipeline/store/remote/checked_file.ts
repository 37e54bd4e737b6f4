import { createHash } from "node:crypto";
import { type Contents, WrongObject } from "../remote.ts";

/**
 * A new file that takes no more bytes than its record states and knows whether they are right.
 *
 * Whoever sends them is not trusted: what is too long ends at the stated size.
 */
export class CheckedFile implements Disposable {
  readonly #file: Deno.FsFile;
  readonly #name: string;
  readonly #contents: Contents;
  #hash = createHash("sha256");
  #position = 0;
  #furthest = 0;

  private constructor(file: Deno.FsFile, name: string, contents: Contents) {
    this.#file = file;
    this.#name = name;
    this.#contents = contents;
  }

  /** Makes the file; `name` is what messages call the object that fills it. */
  static async create(path: string, name: string, contents: Contents): Promise<CheckedFile> {
    return new CheckedFile(await Deno.open(path, { createNew: true, write: true }), name, contents);
  }

  /** Bytes written. */
  get position(): number {
    return this.#position;
  }

  /** The most bytes that were ever written. */
  get furthest(): number {
    return this.#furthest;
  }

  /** Whether all bytes are there. */
  get isFull(): boolean {
    return this.#position === this.#contents.size;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const { size } = this.#contents;
    if (bytes.length > size - this.#position) {
      throw new WrongObject(`${this.#name} is longer than the ${size} bytes that are recorded`);
    }
    for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
    this.#hash.update(bytes);
    this.#position += bytes.length;
    this.#furthest = Math.max(this.#furthest, this.#position);
  }

  /** Forgets all bytes. */
  async restart(): Promise<void> {
    await this.#file.truncate();
    await this.#file.seek(0, Deno.SeekMode.Start);
    this.#hash = createHash("sha256");
    this.#position = 0;
  }

  /** Throws a {@linkcode WrongObject} unless all bytes are there and right; call it once. */
  check(): void {
    const { size, sha256 } = this.#contents;
    if (!this.isFull) {
      throw new WrongObject(`${this.#name} has ${this.#position} bytes, expected ${size}`);
    }
    if (this.#hash.digest("hex") !== sha256) {
      throw new WrongObject(`${this.#name} has other bytes than recorded`);
    }
  }

  /** Waits until the bytes are on disk. */
  async sync(): Promise<void> {
    await this.#file.sync();
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
