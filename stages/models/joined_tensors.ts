import type { Checkpoint, RowRange, StoredTensor } from "../formats/checkpoint.ts";
import type { JoinedTensors } from "./family.ts";

/** Where the values of a joined vector lie: runs of one length, each the tensor of a name or a row of it. */
interface Runs {
  readonly size: number;
  readonly sourceOf: (run: number) => { readonly name: string; readonly rows?: RowRange };
}

/**
 * A checkpoint in which vectors that others store as matrices, or a row a tensor, are seen as vectors;
 * the same checkpoint where it stores none so.
 */
export function joined(checkpoint: Checkpoint, joins: JoinedTensors): Checkpoint {
  const tensors = new Map(checkpoint.tensors);
  const runs = new Map<string, Runs>();
  for (const [name, { rows, names }] of joins) {
    const parts = names?.map((part) => checkpoint.tensors.get(part));
    const whole = checkpoint.tensors.get(name);
    if (names && parts?.every((part) => part !== undefined && isLike(part, parts[0]!))) {
      for (const part of names) tensors.delete(part);
      const size = parts[0]!.shape[0]!;
      tensors.set(name, { ...parts[0]!, name, shape: [rows * size] });
      runs.set(name, { size, sourceOf: (run) => ({ name: names[run]! }) });
    } else if (whole?.shape.length === 2 && whole.shape[0] === rows) {
      const size = whole.shape[1]!;
      tensors.set(name, { ...whole, shape: [rows * size] });
      const sourceOf = (run: number) => ({ name, rows: { start: run, end: run + 1 } });
      runs.set(name, { size, sourceOf });
    }
  }
  if (runs.size === 0) return checkpoint;
  const through = <T extends Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>(
    read: (name: string, rows?: RowRange) => Promise<T>,
  ) =>
  async (name: string, rows?: RowRange): Promise<T> => {
    const found = runs.get(name);
    if (!found) return await read(name, rows);
    const { size, sourceOf } = found;
    const { start, end } = rows ?? { start: 0, end: tensors.get(name)!.shape[0]! };
    const pieces: T[] = [];
    for (let at = start; at < end;) {
      const run = Math.floor(at / size);
      const next = Math.min(end, (run + 1) * size);
      const { name, rows } = sourceOf(run);
      const all = await read(name, rows);
      const each = all.length / size;
      pieces.push(all.slice((at - run * size) * each, (next - run * size) * each) as T);
      at = next;
    }
    return concatenated(pieces);
  };
  return {
    ...checkpoint,
    tensors,
    read: through((name, rows) => checkpoint.read(name, rows)),
    readRaw: through((name, rows) => checkpoint.readRaw(name, rows)),
    [Symbol.dispose]: () => checkpoint[Symbol.dispose](),
  };
}

function isLike({ dtype, shape }: StoredTensor, other: StoredTensor): boolean {
  return dtype === other.dtype && shape.length === 1 && shape[0] === other.shape[0];
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

/** Where joined vectors lie, by where their parts do: one file holds them one after another. */
export function joinedPlaces<
  T extends {
    readonly name: string;
    readonly shape: readonly number[];
    readonly file: string;
    readonly start: number;
    readonly end: number;
  },
>(places: ReadonlyMap<string, T>, joins: JoinedTensors): ReadonlyMap<string, T> {
  const whole = new Map(places);
  for (const [name, { rows, names }] of joins) {
    const parts = (names ?? [name]).flatMap((part) => places.get(part) ?? []);
    const [first] = parts;
    if (!first || parts.length !== (names?.length ?? 1)) continue;
    const [start, end] = [
      Math.min(...parts.map((part) => part.start)),
      Math.max(...parts.map((part) => part.end)),
    ];
    const bytes = parts.reduce((sum, part) => sum + part.end - part.start, 0);
    if (end - start !== bytes || parts.some(({ file }) => file !== first.file)) continue;
    const size = first.shape.at(-1)!;
    for (const part of names ?? []) whole.delete(part);
    whole.set(name, { ...first, name, shape: [rows * size], start, end });
  }
  return whole;
}
