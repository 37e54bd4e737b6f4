import type { Activations, WeightScheme } from "../../../quant/schemes.ts";
import { bitsOf, checkScales, groupsWords, sameGroup, zeroOf } from "./block_codes.ts";
import { type Notes, refuse } from "./notes.ts";
import type { QuantizerBlock } from "./read_methods.ts";
import { lastPart, type RecipeScalar } from "./recipe_tree.ts";

/** What the codes of a block's weights mean here; undefined where that was refused. */
export function weightsOf(block: QuantizerBlock, notes: Notes): WeightScheme | undefined {
  const bits = bitsOf(block, [2, 3, 4, 8], notes);
  const zero = zeroOf(block, notes);
  const grouping = groupingOf(block, notes);
  if (bits === undefined || zero === undefined || grouping === undefined) return undefined;
  if (block.saturation) {
    refuse(block, notes, {
      key: "needs_dequant_saturation",
      is: "codes are clamped as they are dequantized",
      expected: "false, which keeps them in range from the start",
    });
  }
  return { bits: bits as WeightScheme["bits"], zero, ...grouping };
}

/** How the inputs of linears are quantized here; undefined where that was refused. */
export function activationsOf(block: QuantizerBlock, notes: Notes): Activations | undefined {
  if (block.dtype === undefined) return "none";
  const bits = bitsOf(block, [8], notes);
  const zero = zeroOf(block, notes);
  checkScales(block, notes);
  const token = sameGroup(block.groups, [1, -1]);
  if (zero !== undefined && zero !== "none") {
    refuse(block, notes, {
      key: "zero_point",
      is: `inputs have zero points (${zero})`,
      expected: "null, signed codes",
    });
  }
  if (!token && !sameGroup(block.groups, [-1, -1])) {
    refuse(block, notes, {
      key: "group_shapes",
      is: `inputs share scales in groups of ${groupsWords(block.groups)}`,
      expected: "[[1, -1]], a scale a token, or [[-1, -1]] with static",
    });
  }
  if (!token && !block.static) {
    refuse(block, notes, {
      key: "static",
      is: "inputs share one scale that is measured anew in each call",
      expected: "static: true",
    });
  }
  if (block.skips.length > 0) {
    refuse(block, notes, {
      key: "skips",
      is: `inputs of ${block.skips.join(", ")} stay in full precision`,
      expected: "inputs of all linears quantized; skip their weights too, in wgts",
    });
  }
  const { range } = block;
  if (range && (range.strategy === "grid" || range.ratio !== 1)) {
    refuse(block, notes, {
      key: "enable_calib_range",
      is: "ranges of inputs are shrunk",
      expected: "strategy Manual with ratio 1",
    });
  }
  return bits === undefined ? undefined : token ? "dynamic" : "static";
}

function groupingOf(
  block: QuantizerBlock,
  notes: Notes,
): Pick<WeightScheme, "group" | "levels"> | undefined {
  const { groups, scales, intermediate, intermediateLevels } = block;
  checkScales(block, notes);
  const fail = (key: string, is: string, expected: string) => {
    refuse(block, notes, { key, is, expected });
    return undefined;
  };
  const last = groupOf(groups.at(-1)!);
  if (last === undefined) {
    return fail(
      "group_shapes",
      `scales are shared in groups of ${groupsWords(groups)}`,
      "[1, -1], [1, n] or [-1, -1]",
    );
  }
  if (groups.length === 1) {
    if (intermediate.length === 0) return { group: last, levels: 1 };
    return fail("intermediate_dtypes", "there is one level of groups", "two, or no types between");
  }
  const progressive = groups.length === 2 && sameGroup([groups[0]!], [1, -1]) &&
    typeof last === "number" && lastPart(String(scales[1])) === "sint8" &&
    intermediate.length === 1 && lastPart(String(intermediate[0])) === "sint8" &&
    [0, -2].includes(Number(intermediateLevels[0]));
  if (progressive) return { group: last, levels: 2 };
  return fail(
    "group_shapes",
    `scales have ${groups.length} levels that are not those of QoQ`,
    "[[1, -1], [1, n]] with scales [torch.float16, sint8] and sint8 between at level 0",
  );
}

function groupOf(shape: readonly RecipeScalar[]): WeightScheme["group"] | undefined {
  const [rows, columns, rest = -1] = shape;
  if (rest !== -1 || typeof columns !== "number") return undefined;
  if (rows === 1) return columns > 0 ? columns : "row";
  return rows === -1 && columns === -1 ? "tensor" : undefined;
}
