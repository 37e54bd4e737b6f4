import type { Checkpoint, StoredTensor } from "../formats/checkpoint.ts";
import { assembled, type StoredRuns } from "./assembled.ts";
import type { Retelling, Shapes } from "./family.ts";

/**
 * A checkpoint of a class whose models are another's under other names, as one of that class; tensors
 * that have its names already stay. Throws where a tensor that is taken apart has other rows.
 */
export function retold(
  checkpoint: Checkpoint,
  { config, origins, words }: Retelling,
  shapes: Shapes,
): Checkpoint {
  const tensors = new Map<string, StoredTensor>();
  const runs = new Map<string, StoredRuns>();
  const used = new Set<string>();
  for (const [name, { source, rows, ...where }] of origins) {
    const stored = checkpoint.tensors.get(source);
    if (!stored || checkpoint.tensors.has(name)) continue;
    used.add(source);
    if (rows !== undefined && stored.shape[0] !== rows) {
      throw new RangeError(
        `Cannot take "${source}" of "${checkpoint.path}" apart: it has ${
          stored.shape[0]
        } rows, expected ${rows}, those of queries, keys and values`,
      );
    }
    const count = rows === undefined ? stored.shape[0]! : shapes.get(name)![0]!;
    tensors.set(name, { ...stored, name, shape: [count, ...stored.shape.slice(1)] });
    const { size = count, firstOf = () => 0 } = where;
    runs.set(name, { size, sourceOf: (run) => ({ name: source, first: firstOf(run) }) });
  }
  const rest = [...checkpoint.tensors].filter(([name]) => !used.has(name));
  return assembled({ ...checkpoint, config, notes: [...checkpoint.notes ?? [], words] }, {
    tensors: new Map([...rest, ...tensors]),
    runs,
  });
}

/** Where tensors lie by those names, by where they do: what is taken apart in equal order, for sizes alone. */
export function retoldPlaces<
  T extends {
    readonly name: string;
    readonly shape: readonly number[];
    readonly start: number;
    readonly end: number;
  },
>(places: ReadonlyMap<string, T>, { origins }: Retelling, shapes: Shapes): ReadonlyMap<string, T> {
  const found = new Map(places);
  const taken = new Map<string, number>();
  for (const [name, { source, rows }] of origins) {
    const place = places.get(source);
    if (!place || places.has(name)) continue;
    found.delete(source);
    const count = rows === undefined ? place.shape[0]! : shapes.get(name)![0]!;
    const start = taken.get(source) ?? place.start;
    const end = start + (place.end - place.start) / place.shape[0]! * count;
    taken.set(source, end);
    found.set(name, { ...place, name, shape: [count, ...place.shape.slice(1)], start, end });
  }
  return found;
}
