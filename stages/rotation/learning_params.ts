import { z } from "zod";
import { beyondPositions } from "../models/positions.ts";
import { firstTokenPlace } from "../models/text_windows.ts";

const rounding = {
  bits: z.union([z.literal(4), z.literal(8)]).default(4),
  zero: z.enum(["none", "pre_scale"]).default("pre_scale"),
};

/** How rotations are learned, as manifests say it; defaults are those of facebookresearch/SpinQuant. */
export const learningParams = z.strictObject({
  method: z.enum(["network", "kurtosis"]).default("network").describe(
    "Learn by the cross-entropy of the quantized network on tokens (SpinQuant), or by how far channels of kept activations stand out, which is cheap and another thing.",
  ),
  steps: z.int().positive().default(100),
  rate: z.number().positive().default(1.5).describe(
    "Largest step of the first step; it falls by half a cosine to 0.",
  ),
  batch: z.int().positive().default(8).describe("Windows of the text in a step."),
  context: z.int().min(2).default(2048).describe("Tokens a window."),
  bos: firstTokenPlace,
  beyond_positions: beyondPositions,
  activations: z.union([
    z.literal("none"),
    z.strictObject({
      ...rounding,
      clip: z.number().positive().max(1).default(1).describe(
        "Factor on ranges without zero point.",
      ),
      heads: z.boolean().default(true).describe("A scale for each head of what out_proj takes."),
    }),
  ]).prefault({}).describe("How inputs of linears are rounded meanwhile, with a scale a token."),
  keys_values: z.union([z.literal("none"), z.strictObject(rounding)]).prefault({}).describe(
    "How keys, behind a Hadamard transform, and values are rounded meanwhile, with a scale a head.",
  ),
  held: z.int().positive().default(8).describe(
    "Windows behind those of all steps on which first and learned rotations are compared, or the last ones of a text that has none left.",
  ),
  seed: z.int().min(0).max(2 ** 32 - 1).optional().describe(
    "Draws random signs before the Hadamard matrices that learning begins with; none without a seed.",
  ),
});

/** See `learningParams`. */
export type LearningParams = z.infer<typeof learningParams>;
