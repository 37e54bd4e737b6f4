import type { WeightScheme } from "../../../quant/schemes.ts";
import { type Notes, refuse } from "./notes.ts";
import type { QuantizerBlock } from "./read_methods.ts";
import { lastPart, type RecipeScalar } from "./recipe_tree.ts";

/** Bits of a block's codes; undefined where its type is refused. */
export function bitsOf(
  block: QuantizerBlock,
  known: readonly number[],
  notes: Notes,
): number | undefined {
  const found = /^([us])int(\d+)$/.exec(lastPart(block.dtype!));
  const bits = Number(found?.[2]);
  if (!found || !known.includes(bits)) {
    refuse(block, notes, {
      key: "dtype",
      is: `the type is ${block.dtype}`,
      expected: `integers of ${known.join(", ")} bits, such as sint8 or uint4`,
    });
    return undefined;
  }
  const unsigned = found[1] === "u";
  const zero = block.zeroPoint !== undefined;
  if (unsigned && !zero) {
    refuse(block, notes, {
      key: "dtype",
      is: `${block.dtype} has no zero point, so that negative values are lost`,
      expected: "a zero_point, or a signed type",
    });
  }
  if (!unsigned && zero) {
    notes.note(
      `codes are unsigned here where the recipe has ${block.dtype}: the same grid, but its zeros round otherwise`,
    );
  }
  return bits;
}

/** Where the zero point of a block's codes stands; undefined where that is refused. */
export function zeroOf(block: QuantizerBlock, notes: Notes): WeightScheme["zero"] | undefined {
  if (block.zeroPoint === undefined) return "none";
  const domain = lastPart(block.zeroPoint);
  if (domain === "PostScale") return "post_scale";
  if (domain === "PreScale") return "pre_scale";
  refuse(block, notes, {
    key: "zero_point",
    is: `it is ${block.zeroPoint}`,
    expected: "null, PreScale or PostScale",
  });
  return undefined;
}

/** Refuses scales of another type than ours. */
export function checkScales(block: QuantizerBlock, notes: Notes): void {
  const [scale] = block.scales;
  if (scale === undefined || lastPart(scale) === "float16") return;
  refuse(block, notes, {
    key: "scale_dtypes",
    is: `scales are ${scale}`,
    expected: "null or torch.float16, the type of scales here",
  });
}

/** Whether scales have one level, shared by so many rows and channels. */
export function sameGroup(
  groups: readonly (readonly RecipeScalar[])[],
  [rows, channels]: readonly [number, number],
): boolean {
  const [first, ...more] = groups;
  return more.length === 0 && first?.[0] === rows && first[1] === channels &&
    (first[2] ?? -1) === -1;
}

/** Group shapes in a text. */
export function groupsWords(groups: readonly (readonly RecipeScalar[])[]): string {
  return groups.map((shape) => `[${shape.join(", ")}]`).join(", ");
}
