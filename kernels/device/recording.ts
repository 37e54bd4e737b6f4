import type { Recording, Tensor } from "./device.ts";
import type { Param } from "./kernel.ts";
import { type Block, type Pool, sizeClass } from "./memory.ts";
import type { Pipeline } from "./pipelines.ts";

/** A launch as it is put on record, before there is a buffer for its params. */
interface PlannedLaunch {
  readonly pipeline: Pipeline;
  readonly blocks: readonly Block[];
  readonly params: readonly Param[];
  readonly grid: readonly [x: number, y: number, z: number];
}

/** A launch with all that the device needs of it. */
export interface ReadyLaunch {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  /** Where its params begin. */
  readonly offset: number;
  readonly grid: readonly [x: number, y: number, z: number];
}

/** What is written down while a recording is made. */
export class Recorder {
  readonly launches: PlannedLaunch[] = [];
  readonly #scratch: Scratch;
  readonly #own = new Set<Block>();
  readonly #inputs = new Map<Block, { readonly disposed: boolean; readonly label: string }>();

  constructor(scratch: Scratch) {
    this.#scratch = scratch;
  }

  take(bytes: number, label: string): Block {
    const block = this.#scratch.take(bytes, label);
    this.#own.add(block);
    return block;
  }

  /** Notes a tensor that a launch uses. */
  use(tensor: { readonly disposed: boolean; readonly label: string; readonly block: Block }): void {
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

/** A recording of a graphics device, which says how to replay and how to end it. */
export class GpuRecording implements Recording {
  readonly outputs: readonly Tensor[];
  readonly launches: number;
  readonly replay: Recording["replay"];
  readonly #end: () => void;
  #disposed = false;

  constructor(
    outputs: readonly Tensor[],
    { launches, replay, end }: {
      readonly launches: number;
      readonly replay: Recording["replay"];
      readonly end: () => void;
    },
  ) {
    this.outputs = outputs;
    this.launches = launches;
    this.#end = end;
    this.replay = (after) => {
      if (this.#disposed) throw new TypeError("Cannot replay the recording: it was disposed");
      replay(after);
    };
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const tensor of this.outputs) tensor[Symbol.dispose]();
    this.#end();
  }
}

/**
 * Device memory of what recordings make. They run one after another and nothing of one is needed
 * while the next runs, so all of them share it, and a block is free as soon as it was given back.
 *
 * Blocks are powers of two: recordings of every size together hold at most twice what the largest needs.
 */
export class Scratch {
  readonly #pool: Pool;
  readonly #free = new Map<number, Block[]>();
  readonly #all: Block[] = [];
  #users = 0;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  take(bytes: number, label: string): Block {
    const size = sizeClass(2 ** Math.ceil(Math.log2(Math.max(1, bytes))));
    const free = this.#free.get(size)?.pop();
    if (free) return free;
    const block = this.#pool.take(size, label);
    this.#all.push(block);
    return block;
  }

  give(block: Block): void {
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
