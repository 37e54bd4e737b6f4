import { canMix } from "../../kernels/rope.ts";
import type { StatsSizes } from "../calibration/stats.ts";
import type { ModelFiles } from "../models/family.ts";
import { refuseBeyond } from "../models/positions.ts";
import { windowCount } from "../models/text_windows.ts";
import type { LearningParams } from "./learning_params.ts";
import { refuseLearned } from "./learned_model.ts";
import { refuseUntrainable } from "./trainable.ts";
import type { TrainingSchemes } from "./training_pass.ts";

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
