import { type Allocator, type Destroyable, OutOfMemoryError } from "../memory.ts";
import { SLACK_BYTES } from "./protocol.ts";

/** A piece of the engine's memory. */
export interface Region extends Destroyable {
  readonly address: number;
  readonly size: number;
  /** Commands that were handed over when one last used it, or what lay there before. */
  lastUse: number;
}

const PAGE_BYTES = 65536;
/** Addresses have 32 bits. */
const MOST_BYTES = 2 ** 32;
/** Regions begin at cache lines. */
const ALIGNMENT = 64;

interface Piece {
  address: number;
  size: number;
  lastUse: number;
}

/** Hands out pieces of a memory, lowest first, and makes it grow. */
export class Heap implements Allocator<Region> {
  readonly largest = MOST_BYTES - 2 ** 26;
  readonly memory: WebAssembly.Memory;
  /** Free pieces by address; none touches the next. */
  readonly #free: Piece[] = [];

  constructor() {
    this.memory = new WebAssembly.Memory({
      initial: 1,
      maximum: MOST_BYTES / PAGE_BYTES,
      shared: true,
    });
    // Nothing lies at 0, which stands for an input left out.
    this.#give({ address: ALIGNMENT, size: PAGE_BYTES - ALIGNMENT, lastUse: 0 });
  }

  create(size: number, label: string): Region {
    const wanted = Math.ceil((size + SLACK_BYTES) / ALIGNMENT) * ALIGNMENT;
    const { address, lastUse } = this.#take(wanted) ?? this.#grown(wanted, label);
    const region: Region = {
      address,
      size,
      lastUse,
      destroy: () => this.#give({ address, size: wanted, lastUse: region.lastUse }),
    };
    return region;
  }

  #take(size: number): Omit<Piece, "size"> | undefined {
    const at = this.#free.findIndex((piece) => piece.size >= size);
    const piece = this.#free[at];
    if (!piece) return undefined;
    const { address, lastUse } = piece;
    piece.address += size;
    piece.size -= size;
    if (piece.size === 0) this.#free.splice(at, 1);
    return { address, lastUse };
  }

  #grown(size: number, label: string): Omit<Piece, "size"> {
    const end = this.memory.buffer.byteLength;
    const last = this.#free.at(-1);
    const free = last && last.address + last.size === end ? last.size : 0;
    const pages = Math.ceil((size - free) / PAGE_BYTES);
    try {
      this.memory.grow(pages);
    } catch {
      throw new OutOfMemoryError(
        `Cannot allocate ${size} bytes for ${label}: the CPU engine holds ${end} of at most ${MOST_BYTES} bytes, expected room for it`,
      );
    }
    this.#give({ address: end, size: pages * PAGE_BYTES, lastUse: 0 });
    return this.#take(size)!;
  }

  #give(given: Piece): void {
    const after = this.#free.findIndex((piece) => piece.address > given.address);
    const at = after < 0 ? this.#free.length : after;
    this.#free.splice(at, 0, given);
    for (const left of [at, at - 1]) {
      const [piece, next] = [this.#free[left], this.#free[left + 1]];
      if (!piece || !next || piece.address + piece.size !== next.address) continue;
      piece.size += next.size;
      piece.lastUse = Math.max(piece.lastUse, next.lastUse);
      this.#free.splice(left + 1, 1);
    }
  }
}
