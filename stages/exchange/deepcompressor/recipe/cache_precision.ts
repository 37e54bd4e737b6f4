import { bitsOf, checkScales, groupsWords, zeroOf } from "./block_codes.ts";
import { type Notes, refuse } from "./notes.ts";
import type { QuantizerBlock } from "./read_methods.ts";

/** Parameters of `calibrate_kv`; "none" where the cache stays as it is, undefined where refused. */
export function cacheOf(
  block: QuantizerBlock,
  notes: Notes,
):
  | { readonly step: Record<string, unknown>; readonly search: Record<string, unknown> }
  | "none"
  | undefined {
  if (block.dtype === undefined) return "none";
  const skipped = ["attn_k", "attn_v"].filter((key) => block.skips.includes(key));
  if (skipped.length === 2) return "none";
  if (skipped.length === 1) {
    refuse(block, notes, {
      key: "skips",
      is: `only one of keys and values is quantized, without ${skipped[0]}`,
      expected: "both attn_k and attn_v or none of them",
    });
  }
  if (!block.skips.includes("attn_q")) {
    notes.note("queries stay in full precision here, the recipe quantizes them too");
  }
  const bits = bitsOf(block, [4, 8], notes);
  const zero = zeroOf(block, notes);
  checkScales(block, notes);
  const group = cacheGroup(block, notes);
  const clips = clipsOf(block, notes);
  if (bits === undefined || zero === undefined || group === undefined) return undefined;
  const range = block.static ? "static" : "dynamic";
  if (range === "static" && (zero !== "none" || bits !== 8)) {
    refuse(block, notes, {
      key: "static",
      is: "keys and values have one range for all tokens",
      expected: "sint8 without a zero point for it",
    });
  }
  return {
    step: { bits, zero, group: group.step, range, ...clips && { clips } },
    search: { bits, zero, group: group.search },
  };
}

/** The group of a cache step and of the search before it, which must name a number. */
function cacheGroup(
  block: QuantizerBlock,
  notes: Notes,
): { readonly step: number | "head"; readonly search: number } | undefined {
  const shape = block.groups.length === 1 ? block.groups[0]! : [];
  const [rows, channels] = shape;
  if (block.static && rows === -1 && channels === -1) return { step: "head", search: 128 };
  if (!block.static && rows === 1 && channels === -1) {
    notes.note("each head has a scale here, the recipe shares one over all heads of a token");
    return { step: "head", search: 128 };
  }
  if (!block.static && rows === 1 && channels === 128) {
    notes.note("each head has a scale here, the recipe shares one over 128 channels");
    return { step: "head", search: 128 };
  }
  if (!block.static && rows === 1 && typeof channels === "number" && channels % 8 === 0) {
    return { step: channels, search: channels };
  }
  refuse(block, notes, {
    key: "group_shapes",
    is: `keys and values share scales in groups of ${groupsWords(block.groups)}`,
    expected: "[[1, -1]] or [[1, n]], or [[-1, -1]] with static",
  });
  return undefined;
}

/** Factors on the measured ranges of keys and values; undefined where they stay as they are. */
function clipsOf(block: QuantizerBlock, notes: Notes): readonly number[] | undefined {
  const { range } = block;
  if (!range) return undefined;
  if (range.strategy === "manual") {
    if (range.ratio === 1) return undefined;
    if (range.ratio < 1) return [range.ratio];
    refuse(range, notes, {
      key: "ratio",
      is: `ranges are widened by ${range.ratio}`,
      expected: "at most 1",
    });
    return undefined;
  }
  if (!block.static && !range.allowScale) {
    refuse(range, notes, {
      key: "allow_scale",
      is: "a fixed clamp is searched for ranges that each token has of its own",
      expected: "allow_scale: true, a factor on them",
    });
    return undefined;
  }
  if (range.maxExpand > 1) {
    refuse(range, notes, {
      key: "max_expand",
      is: `ranges are widened up to ${range.maxExpand}`,
      expected: "at most 1",
    });
  }
  notes.note("keys and values are clipped alike here, each layer as serves its attention best");
  const steps = Array.from({ length: range.grids }, (_, i) => (i + 1) / range.grids);
  return [1, ...steps.map((step) => 1 - step * (1 - range.maxShrink))];
}
