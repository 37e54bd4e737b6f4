import type { DecoderConfig } from "../models/config.ts";
import { said } from "./format.ts";

/**
 * Why an engine that computes heads and rotary positions in the one way of Llama 2 would not compute a
 * model: all channels of heads that make up the hidden size turn in all layers alike, unscaled.
 */
export function plainHeadProblems(
  { ropes: [rope, ...ropes], heads, headSize, hidden }: DecoderConfig,
): readonly string[] {
  const scaling = rope!.scaling.type;
  return said([
    scaling !== "default" &&
    `its rotary positions are scaled (${scaling}), expected none: the engine ignores that or stops`,
    (ropes.length > 0 || rope!.channels !== headSize) &&
    `its layers turn ${
      ropes.length > 0 ? "differently" : `${rope!.channels} of ${headSize} channels of a head`
    }, expected all channels in all layers alike: the engine knows nothing else`,
    heads * headSize !== hidden &&
    `its head size is ${headSize}, expected hidden size / heads, which is ${
      hidden / heads
    }: the engine computes it so`,
  ]);
}
