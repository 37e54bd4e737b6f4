import { writeAll } from "../file_bytes.ts";
import { layOutTensors, tensorBytes, type TensorSpecification } from "./header.ts";

/**
 * Writes one safetensors file, tensor by tensor.
 *
 * What the file will hold is said when it is created; the bytes of each tensor then come in one or
 * more consecutive pieces. `close()` ends the file; disposing without it abandons it unfinished.
 */
export class SafetensorsWriter implements Disposable {
  readonly path: string;
  readonly #file: Deno.FsFile;
  readonly #starts: ReadonlyMap<string, number>;
  readonly #sizes: ReadonlyMap<string, number>;
  readonly #written = new Map<string, number>();
  #open = true;

  private constructor(
    path: string,
    file: Deno.FsFile,
    specifications: readonly TensorSpecification[],
    starts: ReadonlyMap<string, number>,
  ) {
    this.path = path;
    this.#file = file;
    this.#starts = starts;
    this.#sizes = new Map(specifications.map((each) => [each.name, tensorBytes(each)]));
  }

  /** Creates the file and writes its header; an older file is replaced. */
  static async create(
    path: string,
    specifications: readonly TensorSpecification[],
  ): Promise<SafetensorsWriter> {
    const { header, starts } = layOutTensors(specifications);
    if (starts.size !== specifications.length) {
      throw new TypeError(`Cannot write "${path}": a tensor name comes twice, expected each once`);
    }
    const file = Deno.openSync(path, { write: true, create: true, truncate: true });
    const writer = new SafetensorsWriter(path, file, specifications, starts);
    try {
      await writer.#writeAt(0, header);
      return writer;
    } catch (error) {
      writer[Symbol.dispose]();
      throw error;
    }
  }

  /** Bytes of a tensor that have not been written yet. */
  missing(name: string): number {
    return (this.#sizes.get(name) ?? 0) - (this.#written.get(name) ?? 0);
  }

  /** Appends bytes to a tensor. */
  async write(name: string, bytes: Uint8Array): Promise<void> {
    const start = this.#starts.get(name);
    if (start === undefined) {
      throw new TypeError(
        `Cannot write tensor "${name}" to "${this.path}": it was not announced, expected one of ` +
          `the ${this.#starts.size} tensors the file was created for`,
      );
    }
    const written = this.#written.get(name) ?? 0;
    if (bytes.length > this.missing(name)) {
      throw new RangeError(
        `Cannot write tensor "${name}" to "${this.path}": ${written + bytes.length} bytes, ` +
          `expected ${this.#sizes.get(name)}`,
      );
    }
    this.#written.set(name, written + bytes.length);
    await this.#writeAt(start + written, bytes);
  }

  async #writeAt(start: number, bytes: Uint8Array): Promise<void> {
    this.#file.seekSync(start, Deno.SeekMode.Start);
    await writeAll(this.#file, bytes);
  }

  /** Closes the file; throws where a tensor is incomplete. */
  close(): Promise<void> {
    this[Symbol.dispose]();
    for (const [name, size] of this.#sizes) {
      if (this.missing(name) === 0) continue;
      const error = new RangeError(
        `Cannot close "${this.path}": tensor "${name}" has ${
          this.#written.get(name) ?? 0
        } bytes, ` +
          `expected ${size}`,
      );
      return Promise.reject(error);
    }
    return Promise.resolve();
  }

  [Symbol.dispose](): void {
    if (this.#open) this.#file.close();
    this.#open = false;
  }
}
