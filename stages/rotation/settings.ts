import { z } from "zod";
import { canMix } from "../../kernels/rope.ts";
import type { StatsSizes } from "../calibration/stats.ts";
import type { ModelFiles } from "../models/family.ts";
import { beyondPositions, refuseBeyond } from "../models/positions.ts";
import { firstTokenPlace, windowCount } from "../models/text_windows.ts";
import { refuseLearned } from "./learned_model.ts";
import { refuseUntrainable } from "./trainable.ts";
import type { TrainingSchemes } from "./training_pass.ts";

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

/** How activations are rounded while rotations are learned. */
export function schemesOf(
  { activations, keys_values: kv }: Pick<LearningParams, "activations" | "keys_values">,
): TrainingSchemes {
  const rounds = activations === "none" ? undefined : activations;
  return {
    inputs: rounds && { bits: rounds.bits, zero: rounds.zero, clip: rounds.clip },
    byHead: rounds?.heads ?? false,
    kv: kv === "none" ? undefined : kv,
  };
}

/** Throws what would keep rotations from being learned; `text` is how many tokens it has. */
export function refuseLearning(
  files: ModelFiles,
  params: LearningParams,
  { stage, text, stats }: {
    readonly stage: string;
    readonly text: number | undefined;
    readonly stats: StatsSizes | undefined;
  },
): void {
  refuseLearned(files, stage);
  const { method, batch } = params;
  if (method === "kurtosis") {
    if (stats && stats.rows > 0) return;
    throw new TypeError(
      stats
        ? "Cannot learn rotations by kurtosis: the stats keep no activations, expected some; set rows on the calibrate step"
        : "Cannot learn rotations by kurtosis: there are no stats, expected some of this model; give stats, or method: network",
    );
  }
  const { config } = files.architecture;
  refuseUntrainable(config);
  const { headSize } = config;
  if (params.keys_values !== "none" && !canMix(headSize)) {
    throw new RangeError(
      `Cannot rotate keys before they are rounded: a head has ${headSize} channels, expected a power of two from 4; set keys_values: none`,
    );
  }
  const { activations } = params;
  if (activations !== "none" && activations.clip < 1 && activations.zero !== "none") {
    throw new RangeError(
      `Cannot clip inputs with zero points to ${activations.clip} of their range: expected zero: none, or no clip`,
    );
  }
  refuseBeyond(config, params);
  if (text === undefined) {
    throw new TypeError(
      "Cannot learn rotations through the network: there are no tokens, expected a text; give tokens, or method: kurtosis with stats",
    );
  }
  const { whole } = windowCount(text, { ...params, windows: "all" });
  if (whole >= batch) return;
  throw new RangeError(
    `Cannot learn rotations from ${whole} windows of ${params.context} tokens: expected at least ${batch}, those of a step; lower batch or context`,
  );
}
