import type { Recording } from "./device.ts";
import type { AnyKernel, Launch } from "./kernel.ts";
import { type Block, type Destroyable, type Pool, sizeClass } from "./memory.ts";
import type { TensorSpec } from "./tensor.ts";

/** A launch as it is put on record. */
export interface RecordedLaunch<B> {
  readonly kernel: AnyKernel;
  readonly launch: Launch<string>;
  readonly blocks: readonly Block<B>[];
  /** What its shaders leave to each other. */
  readonly scratch?: Block<B> | undefined;
  readonly inputs: Readonly<Record<string, TensorSpec | undefined>>;
  readonly options: unknown;
}

/** What is written down while a recording is made. */
export class Recorder<B extends Destroyable> {
  readonly launches: RecordedLaunch<B>[] = [];
  readonly #scratch: Scratch<B>;
  readonly #own = new Set<Block<B>>();
  readonly #inputs = new Map<Block<B>, { readonly disposed: boolean; readonly label: string }>();

  constructor(scratch: Scratch<B>) {
    this.#scratch = scratch;
  }

  take(bytes: number, label: string): Block<B> {
    const block = this.#scratch.take(bytes, label);
    this.#own.add(block);
    return block;
  }

  /** Notes a tensor that a launch uses. */
  use(
    tensor: { readonly disposed: boolean; readonly label: string; readonly block: Block<B> },
  ): void {
    if (!this.#own.has(tensor.block)) this.#inputs.set(tensor.block, tensor);
  }

  /** Throws where a tensor is gone that was there before the recording. */
  check(): void {
    for (const { disposed, label } of this.#inputs.values()) {
      if (disposed) {
        throw new TypeError(
          `Cannot replay the recording: its input ${label} was disposed, expected it to stay`,
        );
      }
    }
  }
}

/** A recording of a device, which says how to replay and how to end it. */
export function recordingOf(
  { end, ...recording }: Omit<Recording, typeof Symbol.dispose> & { readonly end: () => void },
): Recording {
  let disposed = false;
  return {
    ...recording,
    replay(part) {
      if (disposed) throw new TypeError("Cannot replay the recording: it was disposed");
      recording.replay(part);
    },
    [Symbol.dispose]() {
      if (disposed) return;
      disposed = true;
      for (const tensor of recording.outputs) tensor[Symbol.dispose]();
      end();
    },
  };
}

/**
 * Device memory of what recordings make. They run one after another and nothing of one is needed
 * while the next runs, so all of them share it, and a block is free as soon as it was given back.
 *
 * Blocks are powers of two: recordings of every size together hold at most twice what the largest needs.
 */
export class Scratch<B extends Destroyable> {
  readonly #pool: Pool<B>;
  readonly #free = new Map<number, Block<B>[]>();
  readonly #all: Block<B>[] = [];
  #users = 0;

  constructor(pool: Pool<B>) {
    this.#pool = pool;
  }

  take(bytes: number, label: string): Block<B> {
    const size = sizeClass(2 ** Math.ceil(Math.log2(Math.max(1, bytes))));
    const free = this.#free.get(size)?.pop();
    if (free) return free;
    const block = this.#pool.take(size, label);
    this.#all.push(block);
    return block;
  }

  give(block: Block<B>): void {
    const free = this.#free.get(block.size);
    if (free) free.push(block);
    else this.#free.set(block.size, [block]);
  }

  /** Counts one more recording. */
  open(): void {
    this.#users++;
  }

  /** Counts one less; the last one gives all memory back. */
  close(): void {
    if (--this.#users > 0) return;
    this.#free.clear();
    for (const block of this.#all.splice(0)) this.#pool.give(block);
  }
}
