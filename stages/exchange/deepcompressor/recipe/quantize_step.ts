import type { Projection } from "../../../models/site.ts";
import type { Value } from "./manifest_text.ts";
import { type Notes, refuse } from "./notes.ts";
import type { QuantizerBlock } from "./read_methods.ts";
import { checkAmong, checkDegree, pick, PROJECTIONS, type With } from "./search_checks.ts";
import { schemeValue, type StepPrecision } from "./smoothing_steps.ts";

const OBJECTIVES: Readonly<Record<string, string>> = {
  TensorError: "tensor",
  ProductsError: "products",
  OutputsError: "outputs",
};

const GRANULARITIES: Readonly<Record<string, string>> = {
  Group: "group",
  ChannelGroup: "channel_group",
  Layer: "layer",
};

/** Parameters of `quantize`. */
export function quantizeWith(
  block: QuantizerBlock,
  { weights, activations, notes }: StepPrecision,
): With {
  const { gptq, range } = block;
  if (gptq && (gptq.block > 256 || gptq.block % 4 !== 0)) {
    notes.note(`GPTQ goes by blocks of 128 columns here, ${gptq.block} in the recipe: same codes`);
  }
  const even = gptq && gptq.block <= 256 && gptq.block % 4 === 0;
  const skips = projectionsOf(block.skips, block, notes);
  const search = range?.strategy === "grid" ? rangeWith(range, notes) : undefined;
  const ratio = range?.strategy === "manual" && range.ratio !== 1 ? range.ratio : undefined;
  const rangeSkips = range ? projectionsOf(range.skips, range, notes) : [];
  const searched = search || ratio !== undefined;
  if (ratio !== undefined && rangeSkips.length > 0) {
    refuse(range!, notes, {
      key: "skips",
      is: "a fixed ratio leaves out some linears",
      expected: "none, or strategy GridSearch",
    });
  }
  return {
    method: gptq ? "gptq" : "rtn",
    weights: schemeValue(weights),
    ...typeof weights.group === "number" && { uneven_group: "shrink" },
    ...activations !== "none" && { activations },
    ratio,
    range: search,
    ...searched && rangeSkips.length > 0 && { range_skips: rangeSkips },
    ...gptq && {
      gptq: {
        damping: gptq.damping,
        block: even ? gptq.block : 128,
        tries: gptq.tries,
        activation_order: true,
      },
    },
    ...skips.length > 0 && { skips },
  };
}

function rangeWith(
  range: NonNullable<QuantizerBlock["range"]>,
  notes: Notes,
): Record<string, Value> {
  const { section } = range;
  checkDegree(range, notes);
  const granularity = pick(GRANULARITIES, range.granularity, {
    section,
    key: "granularity",
    notes,
  });
  const objective = pick(OBJECTIVES, range.objective, { section, key: "objective", notes });
  // One ratio for the tensor is judged by its outputs whatever the recipe says.
  const whole = granularity === "layer" && objective !== "tensor";
  if (objective === "outputs" || whole) {
    notes.note(
      "the recipe gives all of q_proj and of k_proj one ratio, by the attention block's outputs; here they are searched as the others are",
    );
  }
  if (objective !== "tensor") {
    notes.note("errors are summed over all calibration tokens, the recipe's over some of them");
  }
  return {
    objective: whole ? "outputs" : objective,
    granularity,
    max_shrink: range.maxShrink,
    ...range.maxExpand !== 1 && { max_expand: range.maxExpand },
    grids: range.grids,
  };
}

/** The linears that keys name; that of an expert router is not here. */
function projectionsOf(
  keys: readonly string[],
  { section }: Pick<QuantizerBlock, "section">,
  notes: Notes,
): readonly Projection[] {
  const known = [...PROJECTIONS, "moe_gate"];
  checkAmong(section, notes, { key: "skips", found: keys, known });
  return PROJECTIONS.filter((site) => keys.includes(site));
}
