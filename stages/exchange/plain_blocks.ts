import type { DecoderConfig } from "../models/config.ts";
import { said } from "./format.ts";

/** What may be multiplied, in words. */
const SCALED = [
  ["logitScale", "logits"],
  ["residualScale", "what blocks add"],
  ["embeddingScale", "embeddings"],
] as const;

/** What may have a cap, in words. */
const CAPPED = [["attentionCap", "scores"], ["logitCap", "logits"]] as const;

/** Why an engine whose layers are those of Llama would not compute a model. */
export function plainBlockProblems(config: DecoderConfig): readonly string[] {
  const { norm, parallel, neighbours, layerNorms, activation, headSize } = config;
  const nothing = "the engine computes nothing else";
  const scaled = SCALED.find(([key]) => config[key] !== 1);
  const capped = CAPPED.find(([key]) => config[key] !== undefined);
  const behind = Object.values(layerNorms ?? {}).find((norms) => norms.behind !== undefined);
  const usual = 1 / Math.sqrt(headSize);
  return said([
    norm === "layer" &&
    `its norms take the mean of a row away, expected the root mean square alone: ${nothing}`,
    parallel &&
    `its attention and MLP read one norm beside each other, expected one behind the other: ${nothing}`,
    neighbours && `its heads turn neighbours together, expected halves: ${nothing}`,
    behind &&
    `what its blocks add goes through a norm, ${behind.behind}, expected none: ${nothing}`,
    activation !== "silu" && `its gates go through ${activation}, expected silu: ${nothing}`,
    scaled && `it multiplies ${scaled[1]} by ${config[scaled[0]]}, expected 1: ${nothing}`,
    config.attentionScale !== usual &&
    `it multiplies scores by ${config.attentionScale}, expected ${usual}, 1 / sqrt(head size): ${nothing}`,
    capped && `its ${capped[1]} have a cap of ${config[capped[0]]}, expected none: ${nothing}`,
  ]);
}
