import type { DecoderConfig } from "../models/config.ts";
import { said } from "./format.ts";

/** Why an engine whose layers are those of Llama would not compute a model. */
export function plainBlockProblems(
  { norm, parallel, neighbours, residualScale, logitScale }: DecoderConfig,
): readonly string[] {
  const nothing = "the engine computes nothing else";
  const scales = Object.entries({ residualScale, logitScale }).filter(([, scale]) => scale !== 1);
  const [[name, scale] = []] = scales;
  return said([
    norm === "layer" &&
    `its norms take the mean of a row away, expected the root mean square alone: ${nothing}`,
    parallel &&
    `its attention and MLP read one norm beside each other, expected one behind the other: ${nothing}`,
    neighbours && `its heads turn neighbours together, expected halves: ${nothing}`,
    scale !== undefined &&
    `it multiplies ${
      name === "logitScale" ? "logits" : "what blocks add"
    } by ${scale}, expected 1: ${nothing}`,
  ]);
}
