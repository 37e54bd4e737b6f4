import { z } from "zod";
import { projection } from "../models/site.ts";
import { firstTokenPlace } from "../models/text_windows.ts";
import { rangeSearch } from "../quant/range_params.ts";
import { activationScheme, unevenGroup, weightScheme } from "../quant/schemes.ts";

/** Columns of a block of GPTQ at most. */
export const MOST_BLOCK = 256;

/** How manifests say the precision of the head. */
const headPrecision = z.enum(["w8a16", "w8a8"]).optional().describe(
  "Keep the output head in 8-bit codes with a scale a row; w8a8 takes its inputs in 8 bits a token too. Half precision unless said.",
);

/** Parameters of the quantize stage. */
export const quantizeParams = z.strictObject({
  method: z.enum(["rtn", "gptq"]).default("gptq").describe(
    "Round to nearest, or let later columns make up for the errors of earlier ones.",
  ),
  weights: weightScheme.prefault({}),
  uneven_group: unevenGroup,
  activations: activationScheme.default("none").describe(
    "8-bit inputs of linears with a scale a token, or under the range calibration saw; or with range, bits and clip.",
  ),
  gptq: z.strictObject({
    damping: z.number().positive().default(0.01),
    block: z.int().min(4).max(MOST_BLOCK).multipleOf(4).default(128),
    tries: z.int().positive().default(250),
    activation_order: z.boolean().default(true),
    static_groups: z.boolean().optional().describe(
      "false measures a group when it is reached, from weights that make up for errors before; blocks are groups then.",
    ),
    descents: z.int().positive().optional().describe(
      "Passes over all columns behind GPTQ, each of which gets the code that errs least with all others as they are.",
    ),
  }).prefault({}),
  ratio: z.number().positive().default(1).describe("Factor on all ranges, without a search."),
  range: rangeSearch.optional().describe("Search the ranges of groups."),
  shared_rows: z.int().min(2).optional().describe(
    "Neighbouring outputs of a linear whose groups share a scale (Atom: 2).",
  ),
  range_skips: z.array(projection).default([]).describe("Linears whose ranges are not searched."),
  inputs: z.enum(["original", "weights", "quantized", "codes"]).default("original").describe(
    "What GPTQ sees: activations of the full-precision model, or of the layers quantized so far, by their weights alone or with their inputs in codes too, or those codes themselves.",
  ),
  shift: z.strictObject({ damping: z.number().positive().default(0.01) }).optional().describe(
    "Move weights before they are rounded, so that on inputs behind quantized layers they make what they made of those of the full-precision model (Qronos); needs inputs weights or quantized.",
  ),
  windows: z.int().positive().default(128).describe("Samples, for quantized inputs."),
  context: z.int().min(2).default(512).describe("Tokens a sample, for quantized inputs."),
  bos: firstTokenPlace,
  skips: z.array(projection).default([]).describe("Linears that stay in full precision."),
  head: headPrecision,
});

/** See `quantizeParams`. */
export type QuantizeParams = z.infer<typeof quantizeParams>;
