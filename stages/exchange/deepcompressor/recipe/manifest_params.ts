import type { DraftParam } from "./manifest_text.ts";
import type { DeepCompressorRecipe } from "./read_recipe.ts";
import { tasksOf } from "./task_names.ts";

/** Params of every manifest that is made of a recipe. */
export function commonParams(
  { model, calibration, evaluation }: DeepCompressorRecipe,
): Record<string, DraftParam> {
  const { samples, length, localPath, data } = calibration;
  const own = /^[\w.-]+\/[\w.-]+$/.test(model.path) ? `hf:${model.path}` : model.path;
  return {
    model: own === ""
      ? {
        value: "embedded",
        comment: `the recipe's model is ${model.name}: set it to hf:org/name or to a directory`,
      }
      : { value: own },
    text: {
      value: "stories:test",
      comment: `the recipe measures on ${
        evaluation.tasks.join(", ") || "nothing"
      }: set it to a file with that text`,
    },
    context: {
      value: evaluation.length > 0 ? evaluation.length : 2048,
      ...evaluation.length <= 0 && {
        comment: "the recipe measures at 2048, and at 4096 where the model reaches so far",
      },
    },
    windows: { value: "all" },
    tasks: tasksOf({ evaluation }),
    calibration: localPath !== "" ? { value: localPath } : {
      value: "stories:calibration",
      comment: `the recipe calibrates on ${data}: set it to a file with those texts`,
    },
    // English takes 4 to 6 bytes a token, so that this is enough for all samples.
    calibration_bytes: { value: 8 * samples * length },
    samples: { value: samples },
    sample_tokens: { value: length },
  };
}
