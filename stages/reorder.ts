import { reordering } from "./channels/order.ts";
import { declareStage, withWork } from "./kinds.ts";

const declaration = declareStage({
  about: "Orders channels by magnitude, so that those that share a scale are alike.",
  version: 2,
  params: reordering,
  inputs: { model: "model", stats: "stats" },
  output: "model",
  example: {},
});

/** What `reorder` declares, for its work. */
export type ReorderDeclaration = typeof declaration;

/** Permutes channels so that those of one group are alike, without changing what the model computes. */
export const reorder = withWork(
  declaration,
  async () => (await import("./work/reorder.ts")).reorderWork,
);
