import type { Checkpoint, RowRange, StoredTensor } from "../formats/checkpoint.ts";

/** Where a tensor lies that is stored otherwise: its rows in runs of one length. */
export interface StoredRuns {
  /** Rows of a run. */
  readonly size: number;
  /** Whether a run is one row of a matrix, whose values are the rows. */
  readonly flat?: boolean;
  /** The stored tensor of a run, and the row of it that the run begins with. */
  sourceOf(run: number): { readonly name: string; readonly first: number };
}

/** A checkpoint with other tensors, of which some are read from runs of those that are stored. */
export function assembled(
  checkpoint: Checkpoint,
  { tensors, runs }: {
    readonly tensors: ReadonlyMap<string, StoredTensor>;
    readonly runs: ReadonlyMap<string, StoredRuns>;
  },
): Checkpoint {
  const through = <T extends Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>(
    read: (name: string, rows?: RowRange) => Promise<T>,
  ) =>
  async (name: string, rows?: RowRange): Promise<T> => {
    const found = runs.get(name);
    if (!found) return await read(name, rows);
    const { size, flat = false } = found;
    const { start, end } = rows ?? { start: 0, end: tensors.get(name)!.shape[0]! };
    const pieces: T[] = [];
    for (let at = start; at < end;) {
      const run = Math.floor(at / size);
      const next = Math.min(end, (run + 1) * size);
      const source = found.sourceOf(run);
      const [from, to] = [at - run * size, next - run * size];
      if (flat) {
        const row = await read(source.name, { start: source.first, end: source.first + 1 });
        const each = row.length / size;
        pieces.push(row.slice(from * each, to * each) as T);
      } else {
        const range = { start: source.first + from, end: source.first + to };
        pieces.push(await read(source.name, range));
      }
      at = next;
    }
    return pieces.length === 1 ? pieces[0]! : concatenated(pieces);
  };
  return {
    ...checkpoint,
    tensors,
    read: through((name, rows) => checkpoint.read(name, rows)),
    readRaw: through((name, rows) => checkpoint.readRaw(name, rows)),
    [Symbol.dispose]: () => checkpoint[Symbol.dispose](),
  };
}

function concatenated<T extends Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>(
  pieces: readonly T[],
): T {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const all = pieces[0] instanceof Float32Array ? new Float32Array(length) : new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all as T;
}
