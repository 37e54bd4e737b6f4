import { z } from "zod";
import { declareStage, withWork } from "./kinds.ts";

const params = z.strictObject({});

const declaration = declareStage({
  about: "Folds norm gains into the weights, for engines that load no norms.",
  version: 2,
  params,
  inputs: { model: "model" },
  output: "model",
  example: {},
});

/** What `fold` declares, for its work. */
export type FoldDeclaration = typeof declaration;

/** Folds the gains of norms into the linears they feed, without changing what the model computes. */
export const fold = withWork(
  declaration,
  async () => (await import("./work/fold.ts")).foldWork,
);
