/** Thrown when the device has no room; says how much was asked and for what. */
export class OutOfMemoryError extends RangeError {
  override readonly name = "OutOfMemoryError";
}

/** What a block lies in; on a device a buffer. */
export interface Destroyable {
  destroy(): void;
}

/** A piece of device memory. */
export interface Block<B = unknown> {
  readonly id: number;
  readonly buffer: B;
  readonly size: number;
}

/** Where a pool's buffers come from. */
export interface Allocator<B extends Destroyable> {
  /** Most bytes of one buffer. */
  readonly largest: number;
  create(size: number, label: string): B;
}

/** From this size on a submit costs less than one more block: logits come piece after piece. */
export const LARGE_BYTES = 2 ** 23;

/**
 * Buffers by size class, so that a step finds the buffers of the step before.
 *
 * Classes are eighths of a power of two: at most an eighth of a buffer is unused. A freed block may
 * still be read by launches that were recorded but not submitted, so it waits until `submitted`.
 */
export class Pool<B extends Destroyable> {
  readonly #allocator: Allocator<B>;
  readonly #limit: number;
  readonly #free = new Map<number, Block<B>[]>();
  readonly #waiting: Block<B>[] = [];
  #ids = 0;
  #held = 0;
  #peak = 0;
  /** Called with a block whose buffer is gone. */
  onDestroy: (block: Block<B>) => void = () => {};

  /** A pool that holds at most `limit` bytes. */
  constructor(allocator: Allocator<B>, limit = Infinity) {
    this.#allocator = allocator;
    this.#limit = limit;
  }

  /** Bytes of device memory held, in use or free. */
  get held(): number {
    return this.#held;
  }

  /** Most bytes ever held. */
  get peak(): number {
    return this.#peak;
  }

  /** A block of at least that many bytes, its content arbitrary; throws an `OutOfMemoryError`. */
  take(bytes: number, label: string): Block<B> {
    const size = sizeClass(bytes);
    const free = this.#free.get(size)?.pop();
    if (free) return free;
    const { largest } = this.#allocator;
    if (size > largest) {
      throw new OutOfMemoryError(
        `Cannot allocate ${bytes} bytes on the device for ${label}: one buffer holds at most ${largest} bytes, expected a smaller tensor`,
      );
    }
    if (this.#held + size > this.#limit) this.trim();
    if (this.#held + size > this.#limit) {
      throw new OutOfMemoryError(
        `Cannot allocate ${bytes} bytes on the device for ${label}: ${this.#held} of ${this.#limit} bytes are in use, expected room for it; raise --memory or shorten the context`,
      );
    }
    const buffer = this.#create(size, label);
    this.#held += size;
    this.#peak = Math.max(this.#peak, this.#held);
    return { id: this.#ids++, buffer, size };
  }

  #create(size: number, label: string): B {
    try {
      return this.#allocator.create(size, label);
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      this.trim();
      return this.#allocator.create(size, label);
    }
  }

  give(block: Block<B>): void {
    this.#waiting.push(block);
  }

  /** Whether a block for that many bytes is free as soon as `submitted` is called, and not before. */
  waits(bytes: number): boolean {
    const size = sizeClass(bytes);
    return !this.#free.get(size)?.length && this.#waiting.some((block) => block.size === size);
  }

  /** Says that every recorded launch has been submitted: waiting blocks may be taken again. */
  submitted(): void {
    for (const block of this.#waiting.splice(0)) {
      const free = this.#free.get(block.size);
      if (free) free.push(block);
      else this.#free.set(block.size, [block]);
    }
  }

  /** Gives free buffers back to the driver. */
  trim(): void {
    for (const blocks of this.#free.values()) {
      for (const block of blocks.splice(0)) {
        this.onDestroy(block);
        block.buffer.destroy();
        this.#held -= block.size;
      }
    }
  }
}

/** The next eighth of a power of two that holds `bytes`, at least 256. */
export function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const step = Math.max(256, 2 ** (Math.ceil(Math.log2(bytes)) - 4));
  return Math.ceil(bytes / step) * step;
}
