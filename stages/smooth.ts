import { z } from "zod";
import { attentionSmoothing, projectionSmoothing } from "./channels/smoothing_params.ts";
import { declareStage, withWork } from "./kinds.ts";

const params = z.strictObject({
  projections: projectionSmoothing.optional().describe(
    "Moves magnitude from the inputs of linears to their weights.",
  ),
  attention: attentionSmoothing.optional().describe(
    "Moves magnitude from keys to queries, for a quantized KV cache.",
  ),
}).refine(({ projections, attention }) => projections || attention, {
  error: "expected projections, attention or both",
});

const declaration = declareStage({
  about: "Scales channels between activations and weights, or keys and queries, before quantizing.",
  version: 3,
  params,
  inputs: { model: "model", stats: "stats" },
  output: "model",
  example: { projections: { alpha: 0.5 } },
});

/** What `smooth` declares, for its work. */
export type SmoothDeclaration = typeof declaration;

/** Scales channels so that quantization loses less, without changing what the model computes. */
export const smooth = withWork(
  declaration,
  async () => (await import("./work/smooth.ts")).smoothWork,
);
