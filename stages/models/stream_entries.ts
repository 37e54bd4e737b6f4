import type { Device } from "../../kernels/device/device.ts";
import { bytesOf } from "../formats/half.ts";
import type { Stream } from "./stream.ts";

/** Bytes of an entry: few enough for the host, enough that waiting for a disk is rare. */
const ENTRY_BYTES = 2 ** 25;

/** Layers take turns in so many sets of entries, so that one is whole while another is written. */
const SETS = 2;

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

/** Some windows of a text, and the layer that their streams stand before. */
export interface StreamsPlace {
  readonly layer: number;
  readonly windows: readonly number[];
}

/**
 * Values of some windows before a layer, kept in entries of several windows.
 *
 * An entry begins with the layer and all of the windows, so that what is left of other layers or of
 * other windows is known for what it is.
 */
export class StreamEntries {
  readonly #keeper: EntryKeeper;
  readonly #windows: readonly number[];
  /** Values of a window. */
  readonly #size: number;
  /** Windows in an entry. */
  readonly #step: number;
  /** The entry at work. */
  #entry: Float32Array<ArrayBuffer> | undefined;

  constructor(
    keeper: EntryKeeper,
    { windows, size, entryBytes = ENTRY_BYTES }: {
      readonly windows: readonly number[];
      readonly size: number;
      readonly entryBytes?: number;
    },
  ) {
    this.#keeper = keeper;
    this.#windows = windows;
    this.#size = size;
    this.#step = Math.max(1, Math.min(windows.length, Math.floor(entryBytes / 4 / size)));
  }

  /** What the entries say of themselves, the furthest layer first; they need not be whole. */
  static async places(keeper: EntryKeeper): Promise<StreamsPlace[]> {
    const places: StreamsPlace[] = [];
    for (let set = 0; set < SETS; set++) {
      const bytes = await keeper.read(nameOf(set, 0));
      if (!bytes || bytes.length % 4 > 0) continue;
      // Copies, since integers begin at multiples of four.
      const [layer = 0, count = 0] = new Uint32Array(bytes.slice(0, 8).buffer);
      const windows = [...new Uint32Array(bytes.slice(8, 8 + 4 * count).buffer)];
      if (layer > 0 && windows.length === count) places.push({ layer, windows });
    }
    return places.sort((a, b) => b.layer - a.layer);
  }

  /** Where the values of the window at an index go before `keep` is called; they come in order. */
  room(index: number): Float32Array<ArrayBuffer> {
    this.#entry ??= new Float32Array(this.#head + this.#step * this.#size);
    const at = this.#head + (index % this.#step) * this.#size;
    return this.#entry.subarray(at, at + this.#size);
  }

  /** Keeps what is in a window's room; it is on disk when the last window of its entry is. */
  async keep(index: number, layer: number): Promise<void> {
    const held = index % this.#step + 1;
    if (held < this.#step && index < this.#windows.length - 1) return;
    const entry = this.#entry!.subarray(0, this.#head + held * this.#size);
    new Uint32Array(entry.buffer).set(this.#headOf(layer));
    await this.#keeper.write(nameOf(layer, Math.floor(index / this.#step)), bytesOf(entry));
  }

  /** The values of all windows before a layer, in order; ends early where an entry is not whole. */
  async *read(layer: number): AsyncGenerator<Float32Array<ArrayBuffer>> {
    for (let first = 0; first < this.#windows.length; first += this.#step) {
      const held = Math.min(this.#step, this.#windows.length - first);
      const bytes = await this.#keeper.read(nameOf(layer, first / this.#step));
      if (bytes?.length !== 4 * (this.#head + held * this.#size)) return;
      // A copy, since floats begin at multiples of four.
      const { buffer } = bytes.slice();
      const head = new Uint32Array(buffer, 0, this.#head);
      if (this.#headOf(layer).some((value, i) => value !== head[i])) return;
      const values = new Float32Array(buffer, 4 * this.#head);
      for (let i = 0; i < held; i++) {
        yield values.subarray(i * this.#size, (i + 1) * this.#size);
      }
    }
  }

  get #head(): number {
    return 2 + this.#windows.length;
  }

  #headOf(layer: number): readonly number[] {
    return [layer, this.#windows.length, ...this.#windows];
  }
}

function nameOf(layer: number, entry: number): string {
  return `streams-${layer % SETS}-${entry}`;
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
