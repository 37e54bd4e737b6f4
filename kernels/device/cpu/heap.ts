import type { Destroyable } from "../memory.ts";
import { SLACK_BYTES } from "./protocol.ts";

/** A piece of one of the engine's memories. */
export interface Region extends Destroyable {
  /** Which memory. */
  readonly bank: number;
  readonly address: number;
  readonly size: number;
  /** Commands that were handed over when one last used it, or what lay there before. */
  lastUse: number;
}

/** In what steps memories grow. */
export const PAGE_BYTES = 65536;
/** Regions begin at cache lines. */
const ALIGNMENT = 64;
/** Where the first region lies; 0 stands for an input left out. */
export const FIRST_ADDRESS = ALIGNMENT;

interface Piece {
  address: number;
  size: number;
  lastUse: number;
}

/** Hands out pieces of a memory, lowest first, and makes it grow. */
export class Heap {
  readonly memory: WebAssembly.Memory;
  readonly #bank: number;
  /** Free pieces by address; none touches the next. */
  readonly #free: Piece[] = [];

  /** A heap in a new memory of at most so many bytes; throws where the system has no addresses left. */
  constructor(bank: number, mostBytes: number) {
    const maximum = Math.floor(mostBytes / PAGE_BYTES);
    this.memory = new WebAssembly.Memory({ initial: 1, maximum, shared: true });
    this.#bank = bank;
    this.#give({ address: FIRST_ADDRESS, size: PAGE_BYTES - FIRST_ADDRESS, lastUse: 0 });
  }

  /** A region, or none where it has no room and the memory cannot grow, at most to `end`. */
  create(size: number, end = Infinity): Region | undefined {
    const wanted = heldBytes(size);
    const taken = this.#take(wanted) ?? this.#grown(wanted, end);
    if (!taken) return undefined;
    const { address, lastUse } = taken;
    const region: Region = {
      bank: this.#bank,
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

  #grown(size: number, most: number): Omit<Piece, "size"> | undefined {
    const end = this.memory.buffer.byteLength;
    const last = this.#free.at(-1);
    const free = last && last.address + last.size === end ? last.size : 0;
    const pages = Math.ceil((size - free) / PAGE_BYTES);
    if (end + pages * PAGE_BYTES > most) return undefined;
    try {
      this.memory.grow(pages);
    } catch {
      return undefined;
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

/** Bytes that a region takes of its memory. */
export function heldBytes(size: number): number {
  return Math.ceil((size + SLACK_BYTES) / ALIGNMENT) * ALIGNMENT;
}
