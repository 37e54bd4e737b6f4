import type { Device, HostTensor, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import { penaltyTensors, type RowPenalties } from "../../kernels/penalize.ts";

/** Tokens that penalties of a row may concern on average. */
const ROW_ENTRIES = 1024;

/** What changes the logits of a row before a token is chosen from them. */
export interface RowChanges {
  readonly penalties: RowPenalties;
  /** A bit a token that may be chosen; undefined for all. */
  readonly allowed: Uint32Array | undefined;
}

/** The changes of a row that has none. */
export const UNCHANGED: RowChanges = {
  penalties: { repetition: 1, presence: 0, frequency: 0, entries: [] },
  allowed: undefined,
};

/** What `penalize` reads of rows of so many logits; undefined where nothing changes. */
export function changeTensors(changes: readonly RowChanges[], columns: number): {
  readonly rows: HostTensor;
  readonly entries: HostTensor;
  readonly allowed?: HostTensor;
} | undefined {
  const masks = changes.map(({ allowed }) => allowed);
  const masked = masks.some((mask) => mask !== undefined);
  if (!masked && changes.every((each) => each === UNCHANGED)) return undefined;
  const tensors = penaltyTensors(changes.map(({ penalties }) => penalties));
  if (!masked) return tensors;
  const words = Math.ceil(columns / 32);
  const all = new Uint32Array(changes.length * words);
  masks.forEach((mask, row) => fillMask(all.subarray(row * words, (row + 1) * words), mask));
  return { ...tensors, allowed: u32([changes.length, words], all) };
}

/** Tokens behind those of a mask may not be chosen. */
function fillMask(row: Uint32Array, mask: Uint32Array | undefined): void {
  if (mask) row.fill(0).set(mask.subarray(0, row.length));
  else row.fill(0xffffffff);
}

/** The tensors that recorded steps read penalties and masks from, written anew before each is used. */
export class LogitChanges implements Disposable {
  readonly #device: Device;
  readonly #rows: Tensor;
  readonly #entries: Tensor;
  readonly #allowed: Tensor;
  /** What `allowed` holds, and which of its rows do not allow all. */
  readonly #masks: Uint32Array<ArrayBuffer>;
  readonly #masked: boolean[];
  readonly #words: number;

  /** For so many rows of so many logits. */
  constructor(device: Device, rows: number, columns: number) {
    this.#device = device;
    this.#words = Math.ceil(columns / 32);
    this.#masks = new Uint32Array(rows * this.#words);
    // None is written yet.
    this.#masked = Array<boolean>(rows).fill(true);
    using stack = new DisposableStack();
    const empty = (shape: readonly number[]) => stack.use(device.empty({ dtype: "u32", shape }));
    this.#rows = empty([rows, 5]);
    this.#entries = empty([rows * ROW_ENTRIES, 4]);
    this.#allowed = empty([rows, this.#words]);
    stack.move();
  }

  /** Tokens that the penalties of all rows of a step may concern together. */
  get room(): number {
    return this.#entries.shape[0]!;
  }

  /** What `penalize` reads beside logits, of which there may be fewer rows. */
  get inputs(): Readonly<Record<"rows" | "entries" | "allowed", TensorRef>> {
    return { rows: this.#rows, entries: this.#entries, allowed: this.#allowed };
  }

  /** Writes what changes the rows of a step; masks only where they are not what is there. */
  write(changes: readonly RowChanges[]): void {
    const { rows, entries } = penaltyTensors(changes.map(({ penalties }) => penalties));
    this.#device.write(this.#rows, rows);
    if (changes.some(({ penalties }) => penalties.entries.length > 0)) {
      this.#device.write(this.#entries, entries);
    }
    let changed = false;
    changes.forEach(({ allowed }, row) => {
      const masked = allowed !== undefined;
      if (!masked && !this.#masked[row]) return;
      fillMask(this.#masks.subarray(row * this.#words, (row + 1) * this.#words), allowed);
      this.#masked[row] = masked;
      changed = true;
    });
    if (!changed) return;
    const words = this.#masks.subarray(0, changes.length * this.#words);
    this.#device.write(this.#allowed, u32([words.length], words));
  }

  [Symbol.dispose](): void {
    for (const tensor of [this.#rows, this.#entries, this.#allowed]) tensor[Symbol.dispose]();
  }
}
