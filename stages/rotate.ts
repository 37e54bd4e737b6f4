import { z } from "zod";
import { declareStage, withWork } from "./kinds.ts";

const params = z.strictObject({
  seed: z.int().min(0).max(2 ** 32 - 1).optional().describe(
    "Draws random signs before the Hadamard matrices; none without a seed, but in models that take means away, where it is 0 then.",
  ),
  transforms: z.array(z.enum(["out_proj", "out_proj_online", "down_proj"])).default(["out_proj"])
    .refine((all) => !(all.includes("out_proj") && all.includes("out_proj_online")), {
      error: "expected out_proj or out_proj_online, which rotate the same activations",
    }).describe(
      "Beside the residual stream, which stays where norms stand behind attention or MLP: out_proj rotates the values of each head, at no cost; out_proj_online what all heads make, while the model runs; down_proj rotates the MLP's inner activations while the model runs.",
    ),
});

const declaration = declareStage({
  about: "Folds norm gains and Hadamard rotations into the weights, which spreads outliers.",
  version: 2,
  params,
  inputs: { model: "model" },
  output: "model",
  example: {},
});

/** What `rotate` declares, for its work. */
export type RotateDeclaration = typeof declaration;

/** Rotates a model so that no channel of its activations stands out, without changing what it computes. */
export const rotate = withWork(
  declaration,
  async () => (await import("./work/rotate.ts")).rotateWork,
);
