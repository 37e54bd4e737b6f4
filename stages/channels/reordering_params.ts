import { z } from "zod";
import { weightScheme } from "../quant/schemes.ts";
import { orderIndex, orderMetric } from "./order.ts";

const place = z.enum(["residual", "out_proj", "down_proj"]);

/** Parameters of ordering channels. */
export const reordering = z.strictObject({
  sites: z.array(place).min(1).default(["down_proj"]).describe(
    "Channels to order: of the residual stream in the whole model, of the heads before out_proj, of the MLP before down_proj.",
  ),
  strategy: z.enum(["manual", "grid"]).default("manual").describe(
    "One order from metric and index, or the one of least output error among all.",
  ),
  metric: orderMetric.default("inputs_abs_max").describe(
    "What channels are ordered by, ascending.",
  ),
  index: orderIndex.default("sequential").describe(
    "Whether neighbours in the order share a group, or are dealt out over the groups.",
  ),
  weights: weightScheme.prefault({}).describe(
    "How weights are quantized: the groups of transpose, and the errors of grid.",
  ),
  quantize_inputs: z.boolean().default(true).describe(
    "Whether grid takes inputs as 8-bit codes with a scale a token.",
  ),
});

/** See `reordering`. */
export type Reordering = z.infer<typeof reordering>;
