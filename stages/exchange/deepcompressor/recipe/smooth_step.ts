import type { DraftParam, Value } from "./manifest_text.ts";
import type { RecipeSmoothing } from "./read_methods.ts";
import type { DeepCompressorRecipe } from "./read_recipe.ts";
import { attentionWith, projectionsWith, type StepPrecision } from "./smoothing_steps.ts";
import { schemeKind, type WeightScheme } from "../../../quant/schemes.ts";

/** The parameters of a `smooth` step; undefined where nothing is smoothed. */
export function smoothWith(
  { projections, attention, rotation, model: { name } }: DeepCompressorRecipe,
  { precision, kv, model, params }: {
    readonly precision: StepPrecision;
    readonly kv: Readonly<Record<string, unknown>> | undefined;
    readonly model: string | undefined;
    readonly params: Record<string, DraftParam>;
  },
): Readonly<Record<string, Value | undefined>> | undefined {
  const { weights, activations, notes } = precision;
  const shipped = shippedRecipe(weights, {
    inputs: activations !== "none",
    rotated: rotation !== undefined,
    smoothed: projections?.strategy === "manual",
  });
  const tuned = tunedFor(model ?? name, shipped);
  if (model !== undefined && !tuned) {
    notes.note(
      `there are no tuned exponents for "${model}" with this recipe, only for ${
        TUNED_MODELS.join(", ")
      }`,
    );
  }
  const use = model === undefined ? undefined : tuned;
  if (!use && tuned) {
    const { alpha, beta } = tuned.projections;
    const otherwise = tuned.attention && attention && tuned.attention.beta !== attention.beta
      ? `, and SmoothAttention with beta ${tuned.attention.beta}`
      : "";
    const told = alpha !== projections!.alpha || beta !== projections!.beta || otherwise !== "";
    if (told) {
      notes.note(
        `DeepCompressor's script for ${name} says alpha ${alpha} and beta ${beta}${otherwise} on the command line: import with --model ${name} to have them`,
      );
    }
  }
  const found: Record<string, Value | undefined> = {};
  if (projections) {
    const { alpha, beta } = use?.projections ?? projections;
    const given = projectionsWith(projections, precision, { alpha: "${alpha}", beta: "${beta}" });
    if (given && projections.strategy === "manual") {
      params.alpha = { value: alpha };
      params.beta = { value: beta };
    }
    if (given) found.projections = given as Record<string, Value>;
  }
  if (attention && !kv) {
    notes.note("keys and queries are not smoothed: the recipe does not quantize them");
  } else if (attention && kv) {
    const given: RecipeSmoothing = use?.attention
      ? {
        ...attention,
        alpha: use.attention.alpha,
        beta: use.attention.beta,
        strategy: use.attention.strategy === "grid" ? "grid" : "manual",
      }
      : attention;
    found.attention = attentionWith(given, { kv, notes }) as Record<string, Value>;
  }
  return Object.keys(found).length > 0 ? found : undefined;
}

import tuned from "../../../../configs/tuned.json" with { type: "json" };

/** Exponents of smoothing that DeepCompressor's scripts put on the command line for one model. */
export interface TunedSmoothing {
  readonly projections: { readonly alpha: number; readonly beta: number };
  readonly attention?: {
    readonly strategy?: string;
    readonly alpha: number;
    readonly beta: number;
  };
}

/** Models that there are tuned exponents for. */
const TUNED_MODELS: readonly string[] = Object.keys(tuned.models);

/** The tuned exponents of a model for a recipe of these weights; undefined where there are none. */
function tunedFor(
  model: string,
  recipe: "qoq_gchn" | "qoq_g128" | "smoothquant" | undefined,
): TunedSmoothing | undefined {
  if (recipe === undefined) return undefined;
  const models: Readonly<Record<string, Readonly<Record<string, TunedSmoothing>>>> = tuned.models;
  return models[model]?.[recipe];
}

/** Which of the shipped recipes one is, as far as the scripts tell them apart. */
function shippedRecipe(
  weights: WeightScheme,
  { inputs, rotated, smoothed }: {
    readonly inputs: boolean;
    readonly rotated: boolean;
    readonly smoothed: boolean;
  },
): "qoq_gchn" | "qoq_g128" | "smoothquant" | undefined {
  if (!inputs || !smoothed) return undefined;
  if (weights.bits === 4 && rotated) {
    return schemeKind(weights) === "two_level" ? "qoq_g128" : "qoq_gchn";
  }
  return weights.bits === 8 && !rotated ? "smoothquant" : undefined;
}
