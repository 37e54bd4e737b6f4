import { z } from "zod";

/** How ranges of groups are shrunk so that rounding costs less. */
export const rangeSearch = z.strictObject({
  objective: z.enum(["tensor", "products", "outputs"]).default("outputs").describe(
    "What is compared: the weight, the partial products of each group, or the outputs.",
  ),
  granularity: z.enum(["group", "channel_group", "layer"]).default("group").describe(
    "What gets a ratio of its own: a group of a row, a group of columns in all rows, or all. With weights per tensor it is all.",
  ),
  max_shrink: z.number().positive().max(1).default(0.2).describe("The smallest ratio."),
  max_expand: z.number().min(1).default(1).describe("The largest ratio."),
  grids: z.int().positive().default(80).describe("Steps from 1 to the smallest ratio."),
  gptq_shares: z.array(z.number().min(0).max(1)).min(1).default([1]).describe(
    "Shares of the found shrinking that GPTQ tries; each row keeps the one of least output error.",
  ),
});

/** See `rangeSearch`. */
export type RangeSearch = z.infer<typeof rangeSearch>;
