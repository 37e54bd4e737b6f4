import { learningParams } from "./rotation/learning_params.ts";
import { declareStage, withWork } from "./kinds.ts";

const declaration = declareStage({
  about: "Learns the rotations of the residual stream and of heads, and folds them into weights.",
  version: 3,
  params: learningParams,
  inputs: { model: "model", tokens: "tokens?", stats: "stats?" },
  output: "model",
  example: { steps: 2, batch: 1, context: 64 },
});

/** What `learn_rotation` declares, for its work. */
export type LearnRotationDeclaration = typeof declaration;

/** Rotates a model by matrices learned for its quantized form, without changing what it computes. */
export const learn_rotation = withWork(
  declaration,
  async () => (await import("./work/learn_rotation.ts")).learnRotationWork,
);
