import type { Projection } from "../../../models/site.ts";
import { type Notes, refuse } from "./notes.ts";
import type { DeepCompressorRecipe } from "./read_recipe.ts";
import { checkAmong, checkSearch, pick, PROJECTIONS, type With } from "./search_checks.ts";
import type { StepPrecision } from "./smoothing_steps.ts";

const METRICS: Readonly<Record<string, string>> = {
  InputsAbsMax: "inputs_abs_max",
  InputsAbsMean: "inputs_abs_mean",
  InputsRootMeanSquare: "inputs_rms",
  WeightsAbsMax: "weights_abs_max",
  WeightsAbsMean: "weights_abs_mean",
  WeightsRootMeanSquare: "weights_rms",
  AbsMaxProduct: "abs_max_product",
  AbsMeanProduct: "abs_mean_product",
  RootMeanSquareProduct: "rms_product",
};

/** Parameters of `rotate`. */
export function rotateWith(
  { section, random, path, transforms }: NonNullable<DeepCompressorRecipe["rotation"]>,
  { seed, notes }: { readonly seed: number; readonly notes: Notes },
): With {
  if (path !== "") {
    refuse({ section }, notes, {
      key: "path",
      is: `the matrix is read from "${path}"`,
      expected: "none, so that it is made here",
    });
  }
  checkAmong(section, notes, {
    key: "transforms",
    found: transforms,
    known: PROJECTIONS.filter(isInner),
  });
  if (random) {
    notes.note("random signs are drawn here by another generator than that of torch");
  }
  return {
    transforms: PROJECTIONS.filter((site) => transforms.includes(site)),
    ...random && { seed },
  };
}

/** Parameters of `reorder`; undefined where every place is skipped. */
export function reorderWith(
  reorder: NonNullable<DeepCompressorRecipe["reorder"]>,
  { weights, activations, notes }: StepPrecision,
): With | undefined {
  const { section, dynamic, strategy, quantizeInputs, quantizeWeights } = reorder;
  if (dynamic) {
    refuse(reorder, notes, {
      key: "dynamic",
      is: "channels are reordered while the model runs",
      expected: "false",
    });
  }
  const sites = ["residual", "out_proj", "down_proj"]
    .filter((place) => !reorder.skips.includes(place));
  if (sites.length === 0) return undefined;
  if (strategy === "grid") checkSearch(reorder, notes);
  if (strategy === "grid" && !quantizeWeights) {
    refuse(reorder, notes, {
      key: "allow_w_quant",
      is: "orders are searched with weights in full precision",
      expected: "true",
    });
  }
  const metric = pick(METRICS, reorder.metric, { section, key: "channel_metric", notes });
  const indices = { Sequential: "sequential", Transpose: "transpose" };
  const index = pick(indices, reorder.index, { section, key: "channel_index", notes });
  // A fixed ascending order asks nothing of weights.
  const judged = strategy === "grid" || index === "transpose";
  return {
    sites,
    ...strategy === "grid" ? { strategy } : { metric, index },
    ...judged && { weights: { ...weights } },
    ...strategy === "grid" && { quantize_inputs: quantizeInputs && activations !== "none" },
  };
}

function isInner(site: Projection): boolean {
  return site === "out_proj" || site === "down_proj";
}
