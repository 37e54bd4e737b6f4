import { z } from "zod";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { TensorSpecification } from "../formats/safetensors/header.ts";
import type { LayerSite } from "../models/decoder.ts";
import { findFamily } from "../models/families/find_family.ts";
import { projection, PROJECTION_SITES } from "../models/projections.ts";
import { checkScheme, schemeFor } from "../quant/linear_schemes.ts";
import { packedParts } from "../quant/packed.ts";
import { roundingMethod } from "../quant/quantize_weight.ts";
import { rangeSearch } from "../quant/range_search.ts";
import { groupColumns, type LinearScheme, unevenGroup, weightScheme } from "../quant/schemes.ts";
import { checkGroup } from "../quant/weight_grid.ts";
import { siteName } from "../calibration/layer_watch.ts";
import type { SiteRecipe } from "./site.ts";
import type { Stats } from "../calibration/stats.ts";

/** Parameters of the quantize stage. */
export const quantizeParams = z.strictObject({
  method: roundingMethod.default("gptq").describe(
    "Round to nearest, or let later columns make up for the errors of earlier ones.",
  ),
  weights: weightScheme.prefault({}),
  uneven_group: unevenGroup,
  activations: z.enum(["none", "dynamic", "static"]).default("none").describe(
    "8-bit inputs of linears with a scale a token, or under the range calibration saw.",
  ),
  gptq: z.strictObject({
    damping: z.number().positive().default(0.01),
    block: z.int().min(4).max(256).multipleOf(4).default(128),
    tries: z.int().positive().default(250),
    activation_order: z.boolean().default(true),
  }).prefault({}),
  ratio: z.number().positive().default(1).describe("Factor on all ranges, without a search."),
  range: rangeSearch.optional().describe("Search the ranges of groups."),
  range_skips: z.array(projection).default([]).describe("Linears whose ranges are not searched."),
  inputs: z.enum(["original", "quantized"]).default("original").describe(
    "What GPTQ sees: activations of the full-precision model, or of the layers quantized so far.",
  ),
  windows: z.int().positive().default(128).describe("Samples, for quantized inputs."),
  context: z.int().min(2).default(512).describe("Tokens a sample, for quantized inputs."),
  skips: z.array(projection).default([]).describe("Linears that stay in full precision."),
});

/** See `quantizeParams`. */
export type QuantizeParams = z.infer<typeof quantizeParams>;

/** The linears of a site that are quantized. */
export interface SitePlan {
  readonly layer: number;
  readonly site: LayerSite;
  readonly recipe: SiteRecipe;
}

/** The sites of all layers with what is to be quantized there; throws for what cannot be done. */
export async function planSites(
  checkpoint: Pick<Checkpoint, "config" | "tensors">,
  params: QuantizeParams,
  stats: Pick<Stats, "magnitude"> | undefined,
): Promise<readonly SitePlan[]> {
  checkScheme(params.weights, params.activations);
  const plans: SitePlan[] = [];
  const family = findFamily(checkpoint.config);
  for (const { name: full, role, linears } of family.sites(family.config(checkpoint.config))) {
    const skipped = params.skips.some((skip) => PROJECTION_SITES[skip] === role);
    if (role === "head" || skipped) continue;
    const layer = Number(/^layers\.(\d+)\./.exec(full)![1]);
    const inputs = await inputsOf(params, stats, { layer, site: role });
    const schemes = linears.map((weight) => {
      const columns = checkpoint.tensors.get(weight)!.shape[1]!;
      const weights = schemeFor(params.weights, columns, params.uneven_group);
      checkGroup(weight, weights, columns);
      return { name: weight.replace(/\.weight$/, ""), scheme: { weights, ...inputs } };
    });
    const searched = params.range &&
      !params.range_skips.some((skip) => PROJECTION_SITES[skip] === role);
    const { damping, block, tries, activation_order: activationOrder } = params.gptq;
    plans.push({
      layer,
      site: role,
      recipe: {
        linears: schemes,
        range: searched ? params.range! : params.ratio,
        gptq: params.method === "gptq" ? { damping, block, tries, activationOrder } : undefined,
      },
    });
  }
  if (plans.length > 0) return plans;
  throw new TypeError(
    "Cannot quantize the model: every linear is among skips, expected some to be left",
  );
}

async function inputsOf(
  { activations }: QuantizeParams,
  stats: Pick<Stats, "magnitude"> | undefined,
  { layer, site }: { readonly layer: number; readonly site: LayerSite },
): Promise<Pick<LinearScheme, "inputs">> {
  if (activations === "none") return {};
  if (activations === "dynamic") return { inputs: { bits: 8, range: "dynamic" } };
  if (!stats) {
    throw new TypeError(
      "Cannot quantize activations to static ranges: there are no stats, expected those of a calibrate step; feed stats or set activations to dynamic",
    );
  }
  const sizes = await stats.magnitude(layer, siteName(layer, site), "absmax");
  return { inputs: { bits: 8, range: sizes.reduce((a, b) => Math.max(a, b)) } };
}

/** All tensors of the quantized model, layer after layer. */
export function quantizedTensors(
  checkpoint: Pick<Checkpoint, "config" | "tensors">,
  plans: readonly SitePlan[],
): TensorSpecification[] {
  const schemes = new Map(
    plans.flatMap(({ recipe }) => recipe.linears.map(({ name, scheme }) => [name, scheme])),
  );
  const family = findFamily(checkpoint.config);
  const names = [...family.tensors(family.config(checkpoint.config)).keys()];
  return names.flatMap((name): TensorSpecification[] => {
    const { dtype, shape } = checkpoint.tensors.get(name)!;
    const linear = name.replace(/\.weight$/, "");
    const scheme = schemes.get(linear)?.weights;
    if (!scheme) return [{ name, dtype: dtype as TensorSpecification["dtype"], shape }];
    const [rows = 0, columns = 0] = shape;
    const groups = columns / groupColumns(scheme, columns);
    return packedParts(scheme, { rows, columns, groups })
      .map(({ part, dtype, shape }) => ({ name: `${linear}.${part}`, dtype, shape }));
  });
}
