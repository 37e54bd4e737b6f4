import tuned from "../../../../configs/tuned.json" with { type: "json" };
import { schemeKind, type WeightScheme } from "../../../quant/schemes.ts";

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
export const TUNED_MODELS: readonly string[] = Object.keys(tuned.models);

/** The tuned exponents of a model for a recipe of these weights; undefined where there are none. */
export function tunedFor(
  model: string,
  recipe: "qoq_gchn" | "qoq_g128" | "smoothquant" | undefined,
): TunedSmoothing | undefined {
  if (recipe === undefined) return undefined;
  const models: Readonly<Record<string, Readonly<Record<string, TunedSmoothing>>>> = tuned.models;
  return models[model]?.[recipe];
}

/** Which of the shipped recipes one is, as far as the scripts tell them apart. */
export function shippedRecipe(
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
