import type { Notes } from "./notes.ts";
import type { DeepCompressorRecipe } from "./recipe.ts";

/** Tells of keys that say something which has no counterpart here. */
export function tellUnused(
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
  const others = evaluation.evaluators.filter((name) => name !== "gptq");
  if (others.length > 0) notes.note(`${others.join(" and ")} have no counterpart here`);
  if (evaluation.off) notes.note("the recipe measures nothing: take the evaluate steps out");
  for (const key of ["load_from", "copy_on_save", "save_model"]) {
    const text = root.text(key, "");
    if (/^(|false|none|null|nil)$/i.test(text)) continue;
    notes.note(`${key} ${text} has no counterpart: every step's artifact is kept in the store`);
  }
}
