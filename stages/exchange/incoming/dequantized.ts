import type { Checkpoint } from "../../formats/checkpoint.ts";
import type { Architecture } from "../../models/family.ts";
import { bitsandbytesWeights } from "./bitsandbytes.ts";
import { float8Weights } from "./float8.ts";
import type { ReadWeight, StoredWeights } from "./stored_weights.ts";

/** Ways to store weights that are read as values. */
const WAYS: readonly ((checkpoint: Checkpoint, linears: Architecture["linears"]) =>
  | StoredWeights
  | undefined)[] = [float8Weights, bitsandbytesWeights];

/**
 * A checkpoint whose linears have plain weights, whatever they are stored as: tensors beside the codes
 * are gone. Itself where all is plain.
 */
export function dequantized(
  checkpoint: Checkpoint,
  { linears }: Pick<Architecture, "linears">,
): Checkpoint {
  const found = WAYS.map((way) => way(checkpoint, linears)).find((way) => way !== undefined);
  if (found === undefined) return checkpoint;
  const tensors = new Map(checkpoint.tensors);
  for (const name of found.beside) tensors.delete(name);
  for (const [name, { shape }] of found.weights) {
    tensors.set(name, { ...tensors.get(name)!, dtype: "F32", shape });
  }
  let held: { readonly name: string; readonly read: ReadWeight } | undefined;
  return {
    ...checkpoint,
    tensors,
    notes: [...checkpoint.notes ?? [], found.note],
    async read(name, rows) {
      const weight = found.weights.get(name);
      if (weight === undefined) return await checkpoint.read(name, rows);
      if (held?.name !== name) held = { name, read: await weight.open() };
      const { shape: [count = 0] } = weight;
      return await held.read(rows ?? { start: 0, end: count });
    },
  };
}
