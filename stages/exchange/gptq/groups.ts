import { groupColumns } from "../../quant/schemes.ts";
import type { LinearParts } from "../part_values.ts";
import type { CodedLinear } from "../subject.ts";

/** The group of every input. */
export function groupIndex(
  { name, columns, scheme: { weights } }: CodedLinear,
  { g_idx }: LinearParts,
): Int32Array {
  const width = groupColumns(weights, columns);
  const groups = Math.ceil(columns / width);
  if (!g_idx) return Int32Array.from({ length: columns }, (_, input) => Math.floor(input / width));
  const index = g_idx as Int32Array;
  const at = index.findIndex((group) => group < 0 || group >= groups);
  if (at < 0) return index;
  throw new RangeError(
    `tensor "${name}.g_idx": input ${at} is in group ${index[at]}, expected 0 to ${groups - 1}`,
  );
}

/** Throws unless groups are full and lie side by side, as those of packed weights do. */
export function checkPlainGroups(linear: CodedLinear, parts: LinearParts): void {
  const { name, columns, scheme: { weights } } = linear;
  const index = groupIndex(linear, parts);
  const width = groupColumns(weights, columns);
  if (columns % width !== 0) {
    throw new TypeError(
      `tensor "${name}.scales": the last group has ${
        columns % width
      } inputs, expected ${width} as the others; set codes to dequantize where it is loaded`,
    );
  }
  const at = index.findIndex((group, input) => group !== Math.floor(input / width));
  if (at < 0) return;
  throw new TypeError(
    `tensor "${name}.g_idx": input ${at} is in group ${index[at]}, expected ${
      Math.floor(at / width)
    }: its groups lie over inputs in another order; set codes to dequantize where it is loaded`,
  );
}
