import { readSome } from "./file_bytes.ts";

/**
 * A file read by ranges.
 *
 * Reads are queued, so that callers may ask for several at once. Disposing closes the file.
 */
export class ByteFile implements Disposable {
  readonly path: string;
  /** Bytes in the file when it was opened. */
  readonly size: number;
  readonly #file: Deno.FsFile;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(path: string, file: Deno.FsFile, size: number) {
    this.path = path;
    this.#file = file;
    this.size = size;
  }

  /** Opens a file for reading. */
  static open(path: string): ByteFile {
    // Opening a pipe would wait for whoever writes to it.
    if (!Deno.statSync(path).isFile) {
      throw new TypeError(`Cannot read "${path}": it is no file, expected one`);
    }
    const file = Deno.openSync(path, { read: true });
    try {
      return new ByteFile(path, file, file.statSync().size);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** The bytes from `start` up to `end`; throws a `RangeError` where the file ends before. */
  read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    const result = this.#last.then(() => this.#readNow(start, end));
    // Without the bytes, which would live as long as the file is open.
    this.#last = result.then(() => {}, () => {});
    return result;
  }

  async #readNow(start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(end - start);
    this.#file.seekSync(start, Deno.SeekMode.Start);
    let filled = 0;
    while (filled < bytes.length) {
      const count = await readSome(this.#file, bytes.subarray(filled));
      if (count === null) {
        throw new RangeError(
          `Cannot read "${this.path}": it ends after ${start + filled} bytes, expected ${end}`,
        );
      }
      filled += count;
    }
    return bytes;
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
