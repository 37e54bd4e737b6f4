import { shortNumber } from "../../pipeline/words.ts";
import type { FoundTensor } from "../formats/safetensors/found_files.ts";
import type { Architecture } from "../models/family.ts";
import { isFloat, readValues } from "./read_values.ts";
import { USUAL } from "../models/usual_names.ts";

/** Whether the gains of a model's norms are folded into its weights, in words. */
export async function normWords(
  tensors: ReadonlyMap<string, FoundTensor>,
  architecture: Architecture | undefined,
): Promise<string> {
  const names = architecture
    ? architecture.sites.flatMap(({ fedBy: { kind, weight } }) => kind === "norm" ? [weight] : [])
    : [...tensors.keys()].filter((name) => USUAL.norm.test(name));
  const norms = names.flatMap((name) => tensors.get(name) ?? [])
    .filter((tensor) => tensor.shape.length === 1 && isFloat(tensor));
  let [folded, low, high] = [0, Infinity, -Infinity];
  for (const norm of norms) {
    let ones = true;
    for await (const values of readValues(norm)) {
      for (const value of values) {
        ones &&= value === 1;
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
    if (ones) folded++;
  }
  if (norms.length === 0) return "none found";
  if (folded === norms.length) return `folded: all gains of ${norms.length} norms are 1`;
  const range = `gains from ${shortNumber(low, 3)} to ${shortNumber(high, 3)}`;
  if (folded === 0) return `not folded: ${range} in ${norms.length} norms`;
  return `folded in ${folded} of ${norms.length} norms: ${range}`;
}
