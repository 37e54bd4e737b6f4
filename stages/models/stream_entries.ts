import type { Device } from "../../kernels/device/device.ts";
import { bytesOf } from "../formats/half.ts";
import type { Stream } from "./stream.ts";

/** Bytes of an entry: few enough for the host, enough that waiting for a disk is rare. */
const ENTRY_BYTES = 2 ** 25;

/** Keeps bytes under names beyond a run that is interrupted, as the journal of a stage does. */
export interface EntryKeeper {
  /** The bytes under a name, unless there are none or they are damaged. */
  read(name: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  write(name: string, bytes: Uint8Array): Promise<void>;
}

/** Keeps nothing, and counts the bytes that it should have kept. */
export class CountingKeeper implements EntryKeeper {
  readonly #sizes = new Map<string, number>();

  /** Bytes under all names. */
  get bytes(): number {
    return this.#sizes.values().reduce((sum, size) => sum + size, 0);
  }

  read(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  write(name: string, { length }: Uint8Array): Promise<void> {
    this.#sizes.set(name, length);
    return Promise.resolve();
  }
}

/** Keeps bytes in the files of a directory, which is made for them and removed in the end. */
export class FileKeeper implements EntryKeeper, AsyncDisposable {
  readonly #directory: string;
  #made = false;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async read(name: string): Promise<Uint8Array<ArrayBuffer>> {
    return await Deno.readFile(`${this.#directory}/${name}`);
  }

  async write(name: string, bytes: Uint8Array): Promise<void> {
    if (!this.#made) await Deno.mkdir(this.#directory);
    this.#made = true;
    await Deno.writeFile(`${this.#directory}/${name}`, bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#made) await Deno.remove(this.#directory, { recursive: true });
  }
}

/**
 * Values of several windows before a layer, kept in entries of some windows.
 *
 * Layers take turns in two sets of entries, so that one set is whole while the other is written.
 * An entry begins with its layer, which tells the sets apart.
 */
export class StreamEntries {
  readonly #keeper: EntryKeeper;
  readonly #count: number;
  readonly #size: number;
  /** Windows in an entry. */
  readonly #step: number;
  /** The entry at work. */
  readonly #values: Float32Array<ArrayBuffer>;

  constructor(
    keeper: EntryKeeper,
    { count, size, entryBytes = ENTRY_BYTES }: {
      /** Windows in all. */
      readonly count: number;
      /** Values of a window. */
      readonly size: number;
      readonly entryBytes?: number;
    },
  ) {
    this.#keeper = keeper;
    this.#count = count;
    this.#size = size;
    this.#step = Math.max(1, Math.min(count, Math.floor(entryBytes / 4 / size)));
    this.#values = new Float32Array(1 + this.#step * size);
  }

  /** Where the values of a window go before `keep` is called; windows come in order. */
  room(window: number): Float32Array<ArrayBuffer> {
    const at = 1 + (window % this.#step) * this.#size;
    return this.#values.subarray(at, at + this.#size);
  }

  /** Keeps what is in a window's room; it is on disk when the last window of its entry is. */
  async keep(window: number, layer: number): Promise<void> {
    const windows = window % this.#step + 1;
    if (windows < this.#step && window < this.#count - 1) return;
    this.#values[0] = layer;
    const entry = this.#values.subarray(0, 1 + windows * this.#size);
    await this.#keeper.write(this.#name(window, layer), bytesOf(entry));
  }

  /** The values of the windows before a layer, in order; ends early where an entry is not whole. */
  async *read(layer: number): AsyncGenerator<Float32Array<ArrayBuffer>> {
    for (let first = 0; first < this.#count; first += this.#step) {
      const windows = Math.min(this.#step, this.#count - first);
      const bytes = await this.#keeper.read(this.#name(first, layer));
      if (bytes?.length !== 4 * (1 + windows * this.#size)) return;
      // A copy, since floats begin at multiples of four.
      const values = new Float32Array(bytes.slice().buffer);
      if (values[0] !== layer) return;
      for (let i = 0; i < windows; i++) {
        yield values.subarray(1 + i * this.#size, 1 + (i + 1) * this.#size);
      }
    }
  }

  #name(window: number, layer: number): string {
    return `streams-${layer % 2}-${Math.floor(window / this.#step)}`;
  }
}

/**
 * Reads what a stream adds up to, which is all that the next layer sees of it: an addition of floats
 * gives the same bits on the host.
 */
export async function readSum(
  device: Device,
  { residual, delta }: Stream,
  sum: Float32Array,
): Promise<void> {
  sum.set((await device.read(residual)).data);
  if (!delta) return;
  const { data } = await device.read(delta);
  for (let i = 0; i < data.length; i++) sum[i]! += data[i]!;
}
