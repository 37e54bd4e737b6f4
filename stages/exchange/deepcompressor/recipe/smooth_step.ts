import type { DraftParam, Value } from "./manifest_text.ts";
import type { DeepCompressorRecipe, RecipeSmoothing } from "./recipe.ts";
import { attentionWith, projectionsWith, type StepPrecision } from "./smoothing_steps.ts";
import { shippedRecipe, TUNED_MODELS, tunedFor } from "./tuned.ts";

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
