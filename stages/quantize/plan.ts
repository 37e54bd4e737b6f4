import type { Checkpoint } from "../formats/checkpoint.ts";
import type { TensorSpecification } from "../formats/safetensors/header.ts";
import type { LayerLinear, LayerSite } from "../models/site.ts";
import type { Architecture } from "../models/family.ts";
import {
  activationGroup,
  activationRange,
  checkScheme,
  groupColumns,
  type InputScheme,
  type LinearScheme,
  schemeFor,
  schemeKind,
  type WeightScheme,
} from "../quant/schemes.ts";
import { codedTensors } from "../quant/stored_weight.ts";
import { checkGroup } from "../quant/weight_grid.ts";
import type { HeadPlan } from "./head.ts";
import { MOST_BLOCK, type QuantizeParams } from "./params.ts";
import type { SiteMethod } from "./site.ts";
import type { Stats } from "../calibration/stats.ts";

/** Linears that are quantized by the same inputs: those of a site, or what an expert has of them. */
export interface SitePlan {
  readonly layer: number;
  readonly site: LayerSite;
  /** The expert whose part of the site's activation they read; all of it where undefined. */
  readonly expert: number | undefined;
  readonly method: SiteMethod;
}

/** A tensor of the quantized model. */
export interface LayerTensor extends TensorSpecification {
  /** Its layer; undefined for tensors of the whole model. */
  readonly layer: number | undefined;
  /** Whether it is of the quantized head. */
  readonly head?: true;
}

/** The sites of all layers with what is to be quantized there; throws for what cannot be done. */
export async function planSites(
  { layers }: Pick<Architecture, "layers">,
  params: QuantizeParams,
  stats: Pick<Stats, "magnitude"> | undefined,
): Promise<readonly SitePlan[]> {
  const { activations, shared_rows: share = 1 } = params;
  checkScheme(params.weights, activationRange(activations), activationGroup(activations));
  checkGroups(params);
  checkShift(params, layers);
  const plans: SitePlan[] = [];
  for (const [site, inputs] of await inputsOf(params, stats, layers)) {
    const { layer, projection } = site;
    const schemed = (linear: LayerLinear) => {
      const { weight, rows, columns } = linear;
      const weights = schemeFor(params.weights, columns, params.uneven_group);
      checkGroup(weight, weights, columns);
      if (rows % share !== 0) {
        throw new RangeError(
          `Cannot quantize "${weight}" with scales of ${share} rows: it has ${rows}, expected a multiple of ${share}`,
        );
      }
      return { linear, scheme: { weights, ...inputsLike(weights, inputs) } };
    };
    const searched = params.range && !params.range_skips.includes(projection);
    const along = params.gptq.static_groups === false;
    const { damping, tries, activation_order: activationOrder } = params.gptq;
    const range = searched ? params.range! : params.ratio;
    // What stands inside an expert reads all of its site.
    const expertOf = ({ expert }: LayerLinear) => site.expert === undefined ? expert : undefined;
    for (const [expert, linears] of Map.groupBy(site.linears, expertOf)) {
      const all = linears.map(schemed);
      const block = along ? blockOf(all[0]!) : params.gptq.block;
      const gptq = params.method === "gptq"
        ? { damping, block, tries, activationOrder }
        : undefined;
      const descent = params.gptq.descents !== undefined && gptq &&
        { damping, block, passes: params.gptq.descents };
      const method = {
        linears: all,
        range,
        gptq,
        ...share > 1 && { share },
        ...along && { along },
        ...descent && { descent },
        ...params.shift && { shift: params.shift },
      };
      plans.push({ layer, site, expert, method });
    }
  }
  if (plans.length > 0) return plans;
  throw new TypeError(
    "Cannot quantize the model: every linear is among skips, expected some to be left",
  );
}

/** Throws for groups that share scales, or are measured late, where other parameters know them before. */
function checkGroups(
  { weights, range, shared_rows: share, method, gptq }: QuantizeParams,
): void {
  const late = method === "gptq" && gptq.static_groups === false;
  const what = share !== undefined
    ? "with shared rows"
    : late
    ? "in groups that are measured as they are reached"
    : weights.outlier_bits !== undefined
    ? "with outliers"
    : undefined;
  if (what === undefined) return;
  if (range) {
    throw new TypeError(
      `Cannot quantize ${what} and search ranges: a ratio is for one group of one row, expected no range; set ratio`,
    );
  }
  if (schemeKind(weights) === "two_level" || weights.group === "tensor") {
    throw new TypeError(
      `Cannot quantize ${what}: weights have ${
        schemeKind(weights) === "two_level" ? "two levels of scales" : "one scale in all"
      }, expected a scale a group or row`,
    );
  }
  if (method === "gptq" && weights.outlier_bits !== undefined && !late) {
    throw new TypeError(
      "Cannot quantize with outliers by GPTQ before they are known: they take all errors of their row before they are rounded, expected gptq.static_groups false",
    );
  }
  if (late && gptq.descents !== undefined) {
    throw new TypeError(
      `Cannot quantize ${what} and go over all columns again: their grids are known behind GPTQ only, expected no gptq.descents`,
    );
  }
  if (late && gptq.activation_order) {
    throw new TypeError(
      `Cannot quantize ${what} and in the order of activations: groups are of neighbouring columns, expected gptq.activation_order false`,
    );
  }
}

/** Throws where inputs cannot be compared with those of the full-precision model. */
function checkShift({ shift, inputs }: QuantizeParams, layers: Architecture["layers"]): void {
  if (!shift) return;
  if (inputs === "original" || inputs === "codes") {
    throw new TypeError(
      `Cannot shift weights for inputs ${inputs}: ${
        inputs === "original" ? "they are exact" : "codes are no inputs that weights meet"
      }, expected inputs quantized or weights; or leave shift out`,
    );
  }
  const experts = layers.flatMap(({ sites }) => sites).find(({ expert, linears }) =>
    expert !== undefined || linears.some(({ expert }) => expert !== undefined)
  );
  if (!experts) return;
  throw new TypeError(
    `Cannot shift weights of "${experts.name}": its tokens go to experts, others in the full-precision model than behind quantized layers, expected a model without experts; leave shift out`,
  );
}

/** The columns that GPTQ rounds before it measures again: those of a group. */
function blockOf({ linear, scheme }: SiteMethod["linears"][number]): number {
  const group = groupColumns(scheme.weights, linear.columns);
  if (group <= MOST_BLOCK) return group;
  throw new RangeError(
    `Cannot measure groups of "${linear.name}" as they are reached: they have ${group} columns, expected at most ${MOST_BLOCK}; or leave gptq.static_groups out`,
  );
}

/** Inputs in groups have those of the weights, and their outliers. */
function inputsLike(
  { group, outlier_bits: outlierBits }: WeightScheme,
  { inputs }: Pick<LinearScheme, "inputs">,
): Pick<LinearScheme, "inputs"> {
  if (inputs?.group === undefined) return inputs ? { inputs } : {};
  return {
    inputs: {
      ...inputs,
      ...typeof group === "number" && { group },
      ...outlierBits !== undefined && { outlier_bits: outlierBits },
    },
  };
}

/** The sites whose linears are quantized, with how their inputs are. */
async function inputsOf(
  { activations, skips }: QuantizeParams,
  stats: Pick<Stats, "magnitude"> | undefined,
  layers: Architecture["layers"],
): Promise<readonly (readonly [LayerSite, Pick<LinearScheme, "inputs">])[]> {
  const sites = layers.flatMap(({ sites }) => sites)
    .filter(({ projection }) => !skips.includes(projection));
  const kind = activationRange(activations);
  if (kind === "none") return sites.map((site) => [site, {}]);
  const { bits = 8, clip = 1, group } = typeof activations === "string" ? {} : activations;
  const grouped = group !== undefined && { group };
  const of = (range: InputScheme["range"]) => ({
    inputs: { bits, range, ...clip < 1 && { clip }, ...grouped },
  });
  if (kind === "dynamic") return sites.map((site) => [site, of("dynamic")]);
  if (!stats) {
    throw new TypeError(
      "Cannot quantize activations to static ranges: there are no stats, expected those of a calibrate step; feed stats or set activations to dynamic",
    );
  }
  // What is inside the experts of a layer is quantized together, and has one range.
  const place = ({ layer, role, expert }: LayerSite) =>
    `${layer} ${role} ${expert === undefined ? "" : "experts"}`;
  const ranges = new Map<string, number>();
  for (const site of sites) {
    const sizes = await stats.magnitude(site.layer, site.name, "absmax");
    const most = ranges.get(place(site)) ?? 0;
    ranges.set(place(site), sizes.reduce((a, b) => Math.max(a, b), most));
  }
  return sites.map((site) => [site, of(ranges.get(place(site))!)]);
}

/** All tensors of the quantized model, layer after layer; the architecture is what it becomes. */
export function quantizedTensors(
  { architecture, checkpoint }: {
    readonly architecture: Architecture;
    readonly checkpoint: Pick<Checkpoint, "tensors">;
  },
  { plans, head }: { readonly plans: readonly SitePlan[]; readonly head: HeadPlan | undefined },
): LayerTensor[] {
  const planned: SiteMethod["linears"][number][] = [
    ...plans.flatMap(({ method }) => method.linears),
    ...head ? [head] : [],
  ];
  const coded = new Map(planned.map((each) => [each.linear.weight, each]));
  return [...architecture.tensors].flatMap(([name, shape]): LayerTensor[] => {
    const layer = architecture.layerOf(name);
    const found = coded.get(name);
    if (!found) {
      const { dtype } = checkpoint.tensors.get(name)!;
      return [{ name, dtype: dtype as TensorSpecification["dtype"], shape, layer }];
    }
    const part = found === head ? { head: true as const } : {};
    return codedTensors(found.linear, found.scheme.weights)
      .map((each) => ({ ...each, layer, ...part }));
  });
}
