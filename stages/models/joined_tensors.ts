import type { Checkpoint, StoredTensor } from "../formats/checkpoint.ts";
import { assembled, type StoredRuns } from "./assembled.ts";
import type { JoinedTensors } from "./family.ts";

/**
 * A checkpoint in which vectors that others store as matrices, or a row a tensor, are seen as vectors;
 * the same checkpoint where it stores none so.
 */
export function joinedVectors(checkpoint: Checkpoint, joins: JoinedTensors): Checkpoint {
  const tensors = new Map(checkpoint.tensors);
  const runs = new Map<string, StoredRuns>();
  for (const [name, { rows, names }] of joins) {
    const parts = names?.map((part) => checkpoint.tensors.get(part));
    const whole = checkpoint.tensors.get(name);
    if (names && parts?.every((part) => part !== undefined && isLike(part, parts[0]!))) {
      for (const part of names) tensors.delete(part);
      const size = parts[0]!.shape[0]!;
      tensors.set(name, { ...parts[0]!, name, shape: [rows * size] });
      runs.set(name, { size, sourceOf: (run) => ({ name: names[run]!, first: 0 }) });
    } else if (whole?.shape.length === 2 && whole.shape[0] === rows) {
      const size = whole.shape[1]!;
      tensors.set(name, { ...whole, shape: [rows * size] });
      runs.set(name, { size, flat: true, sourceOf: (first) => ({ name, first }) });
    }
  }
  return runs.size === 0 ? checkpoint : assembled(checkpoint, { tensors, runs });
}

function isLike({ dtype, shape }: StoredTensor, other: StoredTensor): boolean {
  return dtype === other.dtype && shape.length === 1 && shape[0] === other.shape[0];
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
