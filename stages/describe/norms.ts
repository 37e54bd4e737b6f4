import type { FoundTensor } from "../formats/safetensors/found_files.ts";
import { isFloat, readValues } from "./read_values.ts";

/** Whether the gains of a model's norms are folded into its weights, in words. */
export async function normWords(tensors: ReadonlyMap<string, FoundTensor>): Promise<string> {
  const norms = [...tensors.values()].filter((tensor) =>
    /norm\.weight$/.test(tensor.name) && tensor.shape.length === 1 && isFloat(tensor)
  );
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
  const range = `gains from ${Number(low.toPrecision(3))} to ${Number(high.toPrecision(3))}`;
  if (folded === 0) return `not folded: ${range} in ${norms.length} norms`;
  return `folded in ${folded} of ${norms.length} norms: ${range}`;
}
