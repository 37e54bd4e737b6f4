import { type Allocator, LARGE_BYTES, OutOfMemoryError } from "../memory.ts";
import { FIRST_ADDRESS, Heap, heldBytes, PAGE_BYTES, type Region } from "./heap.ts";

/** Addresses have 32 bits. */
const BANK_BYTES = 2 ** 32;
/** Which part of a bank is kept for what launches need of other banks. */
const STAGING_SHARE = 1 / 8;
/** Up to which part of a bank regions of one size lie in twos. */
const TWIN_SHARE = 1 / 4;

/** A tensor of a launch, in the first bytes of its region. */
export interface Operand {
  readonly region: Region;
  readonly bytes: number;
  readonly isRead: boolean;
  readonly isWritten: boolean;
}

/** Where bytes lie. */
type Place = Pick<Region, "bank" | "address">;

/** What a launch needs of another bank, or leaves there in `region`. */
export interface Move {
  readonly from: Place;
  readonly to: Place;
  readonly bytes: number;
  readonly region: Region;
}

/** Where a launch finds its operands: all in one bank. */
export interface Meeting {
  readonly bank: number;
  /** Addresses by operand; 0 for one left out. */
  readonly addresses: readonly number[];
  /** Copies ahead of the launch, and behind it. */
  readonly before: readonly Move[];
  readonly after: readonly Move[];
}

interface Bank {
  readonly heap: Heap;
  readonly stagingBytes: number;
  /** Made when a launch needs it. */
  staging?: Region | undefined;
}

/**
 * The memories of the CPU engine, which are filled one after another. A function sees one of them: a
 * launch runs where the fewest bytes have to come to, and what lies elsewhere is copied to the staging
 * of that bank before it, and back behind it where it was written.
 */
export class Banks implements Allocator<Region> {
  readonly largest: number;
  readonly #bytes: number;
  readonly #reserved: number;
  readonly #banks: Bank[] = [];
  /** Room beside a large region that was just made, for one like it: keys and values of a layer. */
  #twin: Region | undefined;
  /** A bank that is all staging, for launches that need more than others have. */
  #exchange: number | undefined;

  /** Opens the first bank; each begins with `reserved` bytes at `FIRST_ADDRESS`. */
  constructor(reserved: number, bytes = BANK_BYTES) {
    this.#bytes = bytes;
    this.#reserved = reserved;
    this.largest = this.#end(bytes * STAGING_SHARE) - FIRST_ADDRESS - heldBytes(reserved) -
      heldBytes(0);
    if (this.largest <= 0) {
      throw new RangeError(
        `Cannot open the CPU engine: its threads need ${reserved} of ${bytes} bytes, expected fewer threads`,
      );
    }
    this.#open("commands", bytes * STAGING_SHARE);
  }

  /** The memory of a bank. */
  memory(bank: number): WebAssembly.Memory {
    return this.#banks[bank]!.heap.memory;
  }

  create(size: number, label: string): Region {
    const twin = this.#twin;
    this.#twin = undefined;
    twin?.destroy();
    if (twin?.size === size) return this.createIn(twin.bank, size, label)!;
    const paired = size >= LARGE_BYTES && size <= this.largest * TWIN_SHARE;
    const opened = this.#banks.length;
    for (let bank = 0; bank <= opened; bank++) {
      const region = this.createIn(bank, size, label);
      if (region && paired) this.#twin = this.createIn(bank, size, label);
      if (region && (!paired || this.#twin)) return region;
      region?.destroy();
    }
    throw outOfMemory(size, label, this.#banks);
  }

  /** A region of one bank, if it has room; opens banks up to it. */
  createIn(bank: number, size: number, label: string): Region | undefined {
    while (bank >= this.#banks.length) this.#open(label, this.#bytes * STAGING_SHARE);
    if (bank === this.#exchange) return undefined;
    const { heap, staging, stagingBytes } = this.#banks[bank]!;
    return heap.create(size, staging ? Infinity : this.#end(stagingBytes));
  }

  /** Decides where a launch runs. */
  meet(operands: readonly (Operand | undefined)[]): Meeting {
    let bank: number | undefined;
    for (const operand of operands) {
      if (operand && operand.region.bank !== (bank ??= operand.region.bank)) {
        return this.#gathered(operands);
      }
    }
    const addresses = operands.map((operand) => operand?.region.address ?? 0);
    return { bank: bank ?? 0, addresses, before: [], after: [] };
  }

  #gathered(operands: readonly (Operand | undefined)[]): Meeting {
    const distinct = new Map<Region, Operand>();
    for (const operand of operands) {
      if (!operand) continue;
      const { region, bytes, isRead, isWritten } = distinct.get(operand.region) ?? operand;
      distinct.set(region, {
        region,
        bytes: Math.max(bytes, operand.bytes),
        isRead: isRead || operand.isRead,
        isWritten: isWritten || operand.isWritten,
      });
    }
    const all = [...distinct.values()];
    const bank = this.#meetingBank(all);
    const staged = new Map<Region, number>();
    const [before, after]: [Move[], Move[]] = [[], []];
    let address = this.#stagingOf(bank).address;
    for (const { region, bytes, isRead, isWritten } of all) {
      if (region.bank === bank) continue;
      const place = { bank, address };
      staged.set(region, address);
      address += heldBytes(bytes);
      if (isRead) before.push({ from: region, to: place, bytes, region });
      if (isWritten) after.push({ from: place, to: region, bytes, region });
    }
    const addresses = operands.map((operand) =>
      operand ? staged.get(operand.region) ?? operand.region.address : 0
    );
    return { bank, addresses, before, after };
  }

  /** The bank for which the fewest bytes are copied, of those whose staging is large enough. */
  #meetingBank(operands: readonly Operand[]): number {
    let best: { readonly bank: number; readonly copied: number } | undefined;
    for (const bank of new Set(operands.map(({ region }) => region.bank))) {
      const others = operands.filter(({ region }) => region.bank !== bank);
      if (stagedBytes(others) > this.#banks[bank]!.stagingBytes) continue;
      const copied = others.reduce(
        (sum, { bytes, isRead, isWritten }) => sum + bytes * (Number(isRead) + Number(isWritten)),
        0,
      );
      if (!best || copied < best.copied) best = { bank, copied };
    }
    if (best) return best.bank;
    const most = this.#end(0) - FIRST_ADDRESS - heldBytes(this.#reserved);
    const bytes = stagedBytes(operands);
    if (bytes > most) {
      throw new OutOfMemoryError(
        `Cannot bring ${bytes} bytes of a launch together: a memory of the CPU engine holds ${most} bytes, expected smaller tensors`,
      );
    }
    return this.#exchange ??= this.#open("what launches need together", most);
  }

  #stagingOf(bank: number): Region {
    const found = this.#banks[bank]!;
    found.staging ??= found.heap.create(found.stagingBytes);
    if (!found.staging) throw outOfMemory(found.stagingBytes, "copies for launches", this.#banks);
    return found.staging;
  }

  /** Where regions of a bank end whose staging is not there yet. */
  #end(stagingBytes: number): number {
    const pages = Math.ceil(heldBytes(stagingBytes) / PAGE_BYTES);
    return this.#bytes - pages * PAGE_BYTES;
  }

  #open(label: string, stagingBytes: number): number {
    const index = this.#banks.length;
    let heap: Heap | undefined;
    try {
      heap = new Heap(index, this.#bytes);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
    if (!heap?.create(this.#reserved)) throw outOfMemory(this.#reserved, label, this.#banks);
    return this.#banks.push({ heap, stagingBytes }) - 1;
  }
}

function stagedBytes(operands: readonly Operand[]): number {
  return operands.reduce((sum, { bytes }) => sum + heldBytes(bytes), 0);
}

function outOfMemory(bytes: number, label: string, banks: readonly Bank[]): OutOfMemoryError {
  const held = banks.reduce((sum, { heap }) => sum + heap.memory.buffer.byteLength, 0);
  return new OutOfMemoryError(
    `Cannot allocate ${bytes} bytes for ${label}: the CPU engine holds ${held} bytes and the system gives no more, expected room for it`,
  );
}
