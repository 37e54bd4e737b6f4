import type { Activations, WeightScheme } from "../../../quant/schemes.ts";
import { familyOf } from "../../../channels/smoothing.ts";
import type { Value } from "./manifest_text.ts";
import { type Notes, refuse } from "./notes.ts";
import type { RecipeSmoothing, Search } from "./read_methods.ts";
import { lastPart } from "./recipe_tree.ts";
import { checkAmong, checkSearch, pick, PROJECTIONS, type With } from "./search_checks.ts";

const SPANS: Readonly<Record<string, string>> = { AbsMax: "abs_max", RootMeanSquare: "rms" };

/** What the model's precision will be, for searches that quantize as they go. */
export interface StepPrecision {
  readonly weights: WeightScheme;
  readonly activations: Activations;
  readonly notes: Notes;
}

/** The `projections` of a `smooth` step; undefined where every place is skipped. */
export function projectionsWith(
  smoothing: RecipeSmoothing,
  { weights, activations, notes }: StepPrecision,
  exponents: { readonly alpha: Value; readonly beta: Value },
): With | undefined {
  const sites = PROJECTIONS.filter((site) => !smoothing.skips.includes(site));
  checkAmong(smoothing.section, notes, {
    key: "skips",
    found: smoothing.skips,
    known: PROJECTIONS,
  });
  if (sites.length === 0) return undefined;
  const { strategy, grids, quantizeAlphaSide, quantizeBetaSide } = smoothing;
  const spans = spansOf(smoothing, notes);
  if (strategy === "manual") return { sites, ...exponents, ...spans };
  checkSearch(smoothing, notes);
  checkWhole(smoothing, notes);
  if (!quantizeBetaSide) {
    refuse(smoothing, notes, {
      key: "allow_b_quant",
      is: "scales are searched with weights in full precision",
      expected: "true",
    });
  }
  const grouped = typeof weights.group === "number";
  return {
    sites,
    strategy,
    candidates: candidatesOf(smoothing, notes),
    grids,
    ...spans,
    weights: schemeValue(weights),
    ...grouped && { uneven_group: "shrink" },
    quantize_inputs: quantizeAlphaSide && activations !== "none",
  };
}

/** The `attention` of a `smooth` step. */
export function attentionWith(
  smoothing: RecipeSmoothing,
  { kv, notes }: { readonly kv: Readonly<Record<string, unknown>>; readonly notes: Notes },
): With {
  const { strategy, grids, alpha, beta } = smoothing;
  const spans = spansOf(smoothing, notes);
  if (strategy === "manual") return { alpha, beta, ...spans };
  checkSearch(smoothing, notes);
  if (!smoothing.quantizeAlphaSide) {
    refuse(smoothing, notes, {
      key: "allow_a_quant",
      is: "scales are searched with keys in full precision",
      expected: "true",
    });
  }
  const candidates = candidatesOf(smoothing, notes);
  return { strategy, candidates, grids, ...spans, kv: kv as Record<string, Value> };
}

/** A scheme with the group as the manifest's param where it is a number. */
export function schemeValue({ bits, zero, group, levels }: WeightScheme): Value {
  return {
    bits,
    zero,
    group: typeof group === "number" ? "${group}" : group,
    ...levels !== 1 && { levels },
  };
}

function candidatesOf(smoothing: RecipeSmoothing, notes: Notes): Value {
  try {
    return familyOf(smoothing);
  } catch (error) {
    notes.refuse(smoothing.section.placeOf("alpha"), (error as Error).message);
    return null;
  }
}

function spansOf({ spans, section }: RecipeSmoothing, notes: Notes): With {
  const named = spans.map((pair) =>
    pair.map((span) => pick(SPANS, lastPart(String(span)), { section, key: "spans", notes }))
  );
  const [first] = named;
  if (!first || (named.length === 1 && first.every((span) => span === "abs_max"))) return {};
  return { spans: named.length === 1 ? first : named };
}

function checkWhole(search: Search, notes: Notes): void {
  if (search.granularity === "Layer") return;
  refuse(search, notes, {
    key: "granularity",
    is: `each ${search.granularity} has exponents of its own`,
    expected: "Layer",
  });
}
