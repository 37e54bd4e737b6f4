import { quantizeParams } from "./quantize/params.ts";
import { declareStage, withWork } from "./kinds.ts";

const declaration = declareStage({
  about: "Quantizes the linears of every layer by rounding to nearest or GPTQ, into packed codes.",
  version: 1,
  params: quantizeParams,
  inputs: { model: "model", stats: "stats?", tokens: "tokens?" },
  output: "model",
  example: { method: "rtn" },
});

/** What `quantize` declares, for its work. */
export type QuantizeDeclaration = typeof declaration;

/** Turns the weights of a model's layers into codes. */
export const quantize = withWork(
  declaration,
  async () => (await import("./work/quantize.ts")).quantizeWork,
);
