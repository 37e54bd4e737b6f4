import { z } from "zod";
import { projection } from "../models/site.ts";
import type { SpanKind } from "./spans.ts";
import { oneWidthScheme, unevenGroup, zeroDomain } from "../quant/schemes.ts";
import { exponentFamily, type Exponents, familyOf, manualExponents } from "./smoothing.ts";

const span = z.enum(["abs_max", "rms"]);
const spanPair = z.tuple([span, span]);
const exponent = z.number().min(-3).max(1);

const shared = {
  strategy: z.enum(["manual", "grid"]).default("manual").describe(
    "One scale from alpha and beta, or the one of least output error among candidates.",
  ),
  spans: z.union([spanPair, z.array(spanPair).min(1)]).default(["abs_max", "abs_max"]).describe(
    "How alpha's side and beta's side are measured; grid takes a list of such pairs as well.",
  ),
  grids: z.int().min(2).default(20).describe("Steps of alpha and beta from 0 to 1 in a grid."),
  candidates: exponentFamily.optional().describe(
    "Exponents that grid tries; read off alpha and beta as DeepCompressor does unless said.",
  ),
};

/** What both kinds of smoothing have. */
export type Smoothing = z.infer<z.ZodObject<typeof shared>> & Exponents;

/** Parameters of smoothing the inputs of linears. */
export const projectionSmoothing = z.strictObject({
  sites: z.array(projection).min(1).default(["down_proj"]),
  ...shared,
  alpha: exponent.default(0.5).describe("Exponent of the inputs' span."),
  beta: exponent.default(-1).describe("Exponent of the weights' span; below 0 it is 1 - alpha."),
  weights: oneWidthScheme.prefault({}).describe("How weights are quantized while grid searches."),
  uneven_group: unevenGroup,
  quantize_inputs: z.boolean().default(true).describe(
    "Whether grid takes inputs as 8-bit codes with a scale a token.",
  ),
}).superRefine(checkSmoothing);

/** See `projectionSmoothing`. */
export type ProjectionSmoothing = z.infer<typeof projectionSmoothing>;

/** Parameters of smoothing keys against queries. */
export const attentionSmoothing = z.strictObject({
  ...shared,
  alpha: exponent.default(0.5).describe("Exponent of the keys' span."),
  beta: exponent.default(0).describe("Exponent of the queries' span; below 0 it is 1 - alpha."),
  kv: z.strictObject({
    bits: z.union([z.literal(4), z.literal(8)]).default(4),
    zero: zeroDomain.default("post_scale"),
    group: z.int().positive().multipleOf(8).default(128).describe(
      "Channels of a head that share a scale; the whole head where it has fewer.",
    ),
  }).prefault({}).describe("How keys are quantized while grid searches."),
}).superRefine(checkSmoothing);

/** See `attentionSmoothing`. */
export type AttentionSmoothing = z.infer<typeof attentionSmoothing>;

/** The pairs of spans to try. */
export function spanPairs({ spans }: Pick<Smoothing, "spans">): readonly [SpanKind, SpanKind][] {
  const [first, second] = spans;
  return typeof first === "string" ? [[first, second as SpanKind]] : [
    ...spans as readonly [SpanKind, SpanKind][],
  ];
}

function checkSmoothing(params: Smoothing, context: z.RefinementCtx): void {
  const refuse = (path: keyof Smoothing, message: string) =>
    context.addIssue({ code: "custom", path: [path], message });
  const manual = params.strategy === "manual";
  if (manual && spanPairs(params).length !== 1) refuse("spans", "expected one pair with manual");
  if (!manual && params.candidates) return;
  try {
    if (manual) manualExponents(params);
    else familyOf(params);
  } catch (error) {
    refuse("alpha", (error as Error).message);
  }
}
