import type { WeightScheme } from "../../../quant/schemes.ts";
import { cacheOf } from "./cache_precision.ts";
import { reorderWith, rotateWith } from "./channel_steps.ts";
import { commonParams } from "./manifest_params.ts";
import type { DraftParam, DraftStep, Value } from "./manifest_text.ts";
import type { Notes } from "./notes.ts";
import { quantizeWith } from "./quantize_step.ts";
import type { DeepCompressorRecipe } from "./read_recipe.ts";
import { activationsOf, weightsOf } from "./schemes.ts";
import { smoothWith } from "./smooth_step.ts";

/** A manifest before it is text. */
export interface ManifestDraft {
  readonly comments: readonly string[];
  readonly params: Readonly<Record<string, DraftParam>>;
  readonly steps: readonly DraftStep[];
}

/** Gives what takes notes for one place, as a list of comments. */
export type Noting = (comments: string[]) => Notes;

/** The steps and params that a recipe asks for. */
export function draftOf(
  recipe: DeepCompressorRecipe,
  { noting, model }: { readonly noting: Noting; readonly model: string | undefined },
): ManifestDraft {
  const comments: string[] = [];
  const notes = noting(comments);
  const params = commonParams(recipe);
  tellUnused(recipe, notes);
  const [weightComments, cacheComments]: [string[], string[]] = [[], []];
  const { dtype } = recipe.weights;
  const scheme = dtype === undefined
    ? undefined
    : weightsOf(recipe.weights, noting(weightComments));
  const activations = activationsOf(recipe.inputs, noting(weightComments)) ?? "none";
  const cache = cacheOf(recipe.outputs, noting(cacheComments)) ?? "none";
  if (dtype === undefined && activations !== "none") {
    notes.refuse(
      recipe.inputs.section.placeOf("dtype"),
      "Cannot quantize inputs alone: weights stay in full precision, expected quant.wgts.dtype",
    );
  }
  const steps = [...sourceSteps()];
  // Nothing is rotated, ordered or smoothed for a model that stays as it is.
  const quantized = dtype !== undefined || cache !== "none";
  const weights: WeightScheme = scheme ??
    { bits: 8, zero: "none", group: "row", levels: 1 };
  if (typeof weights.group === "number") {
    params.group = {
      value: weights.group,
      comment: "where it does not divide a weight's columns, the largest that does is taken",
    };
  }
  let at = "source";
  const step = (draft: DraftStep) => {
    steps.push(draft);
    at = draft.name;
  };
  if (quantized && recipe.rotation) {
    const comments: string[] = [];
    const given = rotateWith(recipe.rotation, { seed: recipe.seed, notes: noting(comments) });
    step({ name: "rotated", stage: "rotate", from: { model: at }, with: given, comments });
  }
  if (quantized) {
    steps.push({
      name: "stats",
      stage: "calibrate",
      from: { model: at, tokens: "calibration" },
      with: { windows: "${samples}", context: "${sample_tokens}" },
      comments: [],
    });
  }
  const precision = { weights, activations };
  if (quantized && recipe.reorder) {
    const comments: string[] = [];
    const given = reorderWith(recipe.reorder, { ...precision, notes: noting(comments) });
    if (given) {
      const from = { model: at, stats: "stats" };
      step({ name: "reordered", stage: "reorder", from, with: given, comments });
    }
  }
  if (quantized) {
    const comments: string[] = [];
    const given = smoothWith(recipe, {
      precision: { ...precision, notes: noting(comments) },
      kv: cache === "none" ? undefined : cache.search,
      model,
      params,
    });
    if (given) {
      const from = { model: at, stats: "stats" };
      step({ name: "smoothed", stage: "smooth", from, with: given, comments });
    }
  }
  const name = `w${dtype === undefined ? 16 : weights.bits}a${activations === "none" ? 16 : 8}`;
  if (dtype !== undefined) {
    const given = quantizeWith(recipe.weights, { ...precision, notes: noting(weightComments) });
    const from = { model: at, stats: "stats" };
    step({ name, stage: "quantize", from, with: given, comments: weightComments });
  }
  if (cache !== "none") {
    const given = cache.step as Record<string, Value>;
    const from = { model: at, stats: "stats" };
    const kv = `${name}kv${given.bits}`;
    step({ name: kv, stage: "calibrate_kv", from, with: given, comments: cacheComments });
  }
  if (quantized) steps.push(...resultSteps(at));
  else notes.note("the recipe quantizes nothing: what is left is to measure the model");
  return { comments, params, steps };
}

function sourceSteps(): readonly DraftStep[] {
  return [
    { name: "source", stage: "load", with: { model: "${model}" }, comments: [] },
    {
      name: "text",
      stage: "tokenize",
      from: { model: "source" },
      with: { text: "${text}" },
      comments: [],
    },
    {
      name: "fp16",
      stage: "evaluate",
      from: { model: "source", tokens: "text" },
      with: {
        context: "${context}",
        windows: "${windows}",
        keep_hidden: true,
        tasks: "${tasks}",
      },
      comments: [],
    },
    {
      name: "calibration",
      stage: "tokenize",
      from: { model: "source" },
      with: { text: "${calibration}", purpose: "calibration", bytes: "${calibration_bytes}" },
      comments: [],
    },
  ];
}

function resultSteps(at: string): readonly DraftStep[] {
  return [
    {
      name: "quantized",
      stage: "evaluate",
      from: { model: at, tokens: "text", baseline: "fp16", baseline_model: "source" },
      with: { context: "${context}", windows: "${windows}", tasks: "${tasks}" },
      comments: [],
    },
    {
      name: "report",
      stage: "compare",
      from: { reports: ["fp16", "quantized"] },
      with: { title: at.toUpperCase() },
      comments: [],
    },
  ];
}

/** Tells of keys that say something which has no counterpart here. */
function tellUnused(
  { root, model, evaluation, calibration, developDtype, seed, rotation }: DeepCompressorRecipe,
  notes: Notes,
): void {
  const { shortest, longest } = calibration;
  if (shortest > 0 || longest > 0) {
    const bounds = [
      ...shortest > 0 ? [`at least ${shortest}`] : [],
      ...longest > 0 ? [`at most ${longest}`] : [],
    ];
    notes.note(
      `calibration takes the text from its start; the recipe takes documents of ${
        bounds.join(" and ")
      } tokens`,
    );
  }
  notes.note("calibration samples follow each other in the text; the recipe draws documents");
  if (!["float16", "null"].includes(model.dtype)) {
    notes.note(`the recipe runs the model in ${model.dtype}; see dtype of the load stage`);
  }
  if (developDtype.replace(/^torch\./, "") !== "float32") {
    notes.note(`scales are found in single precision here, in ${developDtype} in the recipe`);
  }
  if (seed !== 12345 && !rotation?.random) {
    notes.note(`seed ${seed} has no effect here: nothing is drawn`);
  }
  const known = ["gptq", "lm_eval", "longbench"];
  const others = evaluation.evaluators.filter((name) => !known.includes(name));
  if (others.length > 0) notes.note(`${others.join(" and ")} have no counterpart here`);
  if (evaluation.off) notes.note("the recipe measures nothing: take the evaluate steps out");
  for (const key of ["load_from", "copy_on_save", "save_model"]) {
    const text = root.text(key, "");
    if (/^(|false|none|null|nil)$/i.test(text)) continue;
    notes.note(`${key} ${text} has no counterpart: every step's artifact is kept in the store`);
  }
}
