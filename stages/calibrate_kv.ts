import { z } from "zod";
import { MOST_SINKS } from "../kernels/codes/kv_page.ts";
import { zeroDomain } from "./quant/schemes.ts";
import { declareStage, withWork } from "./kinds.ts";

const params = z.strictObject({
  bits: z.union([z.literal(4), z.literal(8)]).default(4),
  zero: zeroDomain.default("post_scale"),
  group: z.union([z.int().positive(), z.literal("head")]).default("head").describe(
    "Channels of a head that share a scale for each token.",
  ),
  rotate_keys: z.boolean().optional().describe(
    "Send queries and keys through the Hadamard transform of a head behind their rotary positions, so that no channel of keys stands out (QuaRot).",
  ),
  center_keys: z.boolean().optional().describe(
    "Take from keys, behind their rotary positions, their mean over the windows kept, which attention does not see (SageAttention); not where scores are capped.",
  ),
  fit_ranges: z.boolean().optional().describe(
    "Let each token's group take the share of its range, from 1 down to 0.84, that leaves the least squared error.",
  ),
  compensate_keys: z.boolean().optional().describe(
    "Let the codes of a key's channels make up for what those before them missed, as the queries kept weigh it (LDLQ, QuIP).",
  ),
  before_rope: z.boolean().optional().describe(
    "Give keys codes before their rotary positions; attention turns them whenever it reads them (Atom).",
  ),
  sinks: z.int().min(0).max(MOST_SINKS).optional().describe(
    "First tokens of every sequence whose keys and values stay in half precision, since most of attention rests on them (KVQuant); 0 unless said.",
  ),
  range: z.enum(["dynamic", "static"]).default("dynamic").describe(
    "A scale for each token, or one for a layer's keys and one for its values (zero none).",
  ),
  clips: z.array(z.number().positive().max(1)).min(1).default([1]).describe(
    "Factors on measured ranges to try; each layer keeps the one with the smallest error.",
  ),
  fallback: z.strictObject({
    error: z.number().positive().optional().describe("Layers above this error get 8 bits."),
    bytes_per_token: z.number().positive().optional().describe(
      "The worst layers get 8 bits as long as all layers together stay below.",
    ),
  }).refine(({ error, bytes_per_token }) => (error ?? bytes_per_token) !== undefined, {
    error: "expected error, bytes_per_token or both",
  }).optional().describe("Give layers that 4 bits serve badly 8 bits."),
});

const declaration = declareStage({
  about: "Gives keys and values 4- or 8-bit codes and measures each layer's attention with them.",
  version: 2,
  params,
  inputs: { model: "model", stats: "stats" },
  output: "model",
  example: {},
});

/** What `calibrate_kv` declares, for its work. */
export type CalibrateKvDeclaration = typeof declaration;

/** Chooses the precision of every layer's KV cache and measures what it costs. */
export const calibrate_kv = withWork(
  declaration,
  async () => (await import("./work/calibrate_kv.ts")).calibrateKvWork,
);
