import type { DecoderConfig } from "../models/config.ts";

/**
 * Throws where gradients cannot be taken through a model: they are known of decoders as Llama is one,
 * with root-mean-square norms, one before each block, rotary halves, attention to all before and gates
 * by SiLU.
 */
export function refuseUntrainable(config: DecoderConfig): void {
  const why = unlike(config);
  if (why === undefined) return;
  throw new TypeError(
    `Cannot learn rotations through the network of this model: ${why}, expected a decoder as Llama is one; use method: kurtosis, or the rotate stage`,
  );
}

function unlike(config: DecoderConfig): string | undefined {
  const { hidden, inner } = config;
  const found: readonly (readonly [boolean, string])[] = [
    [config.norm !== "rms", "its norms take means away"],
    [config.layerNorms !== undefined, "it has norms behind its blocks"],
    [config.biases.length > 0, `its ${config.biases.join(", ")} have biases`],
    [config.queryKeyNorms !== undefined, "its queries and keys are normalized"],
    [config.parallel, "its blocks read one norm"],
    [config.neighbours, "neighbours among its channels turn together"],
    [config.windows.some((window) => window !== undefined), "its attention sees a window"],
    [config.experts !== undefined, "it has experts"],
    [config.activation !== "silu", `its gates go through ${config.activation}`],
    [config.attentionCap !== undefined || config.logitCap !== undefined, "its scores are capped"],
    [
      config.residualScale !== 1 || config.embeddingScale !== 1 || config.logitScale !== 1,
      "its residual stream is scaled",
    ],
    [hidden % 8 !== 0 || inner % 8 !== 0, `${hidden} and ${inner} are no multiples of 8`],
  ];
  return found.find(([is]) => is)?.[1];
}
