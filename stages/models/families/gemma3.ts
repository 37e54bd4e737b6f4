import { z } from "zod";
import { decoderConfig } from "../config.ts";
import type { Family } from "../family.ts";
import {
  GEMMA,
  GEMMA_GGUF,
  gemmaDifferences,
  gemmaGgufConfig,
  gemmaParticulars,
  layerTypes,
  parseGemmaJson,
} from "./gemma_decoder.ts";

/** Layers up to one that attends to all keys. */
const PERIOD = 6;
/** Theta of layers with a window. */
const LOCAL_THETA = 10_000;
/** Layers of Gemma 3 27B. */
const LARGE = 62;

const gemma3Json = z.looseObject({
  sliding_window_pattern: z.int().positive().default(PERIOD),
  /** Theta of layers with a window. */
  rope_local_base_freq: z.number().positive().default(LOCAL_THETA),
  rope_parameters: z.looseObject({
    full_attention: z.looseObject({}).nullish(),
    sliding_attention: z.looseObject({}).nullish(),
  }).nullish(),
  rope_scaling: z.looseObject({}).nullish(),
  rope_theta: z.number().positive().default(1_000_000),
});

/** Gemma 3, text alone: normalized queries and keys, and in layers with a window other rotary positions. */
export const gemma3: Family = {
  ...GEMMA,
  architectures: ["Gemma3ForCausalLM"],
  config(json) {
    const parsed = parseGemmaJson(json, { sliding_window: 4096 });
    if ((parsed.attn_logit_softcapping ?? undefined) !== undefined) {
      throw new TypeError(
        `Cannot read config.json: attn_logit_softcapping is ${parsed.attn_logit_softcapping}, expected none: Gemma 3 has no cap on scores`,
      );
    }
    const gemma = gemma3Json.parse(json);
    const types = layerTypes(parsed, gemma.sliding_window_pattern);
    return decoderConfig(
      { ...parsed, ...ropesByType(gemma), layer_types: [...types] },
      { ...gemmaParticulars(parsed, types), queryKeyNorms: "shared" },
    );
  },
  gguf: {
    ...GEMMA_GGUF,
    architecture: "gemma3",
    name: "Gemma3ForCausalLM",
    type: "gemma3_text",
    windows: { period: PERIOD, theta: LOCAL_THETA },
    parts: {
      ...GEMMA_GGUF.parts,
      attn_q_norm: "self_attn.q_norm",
      attn_k_norm: "self_attn.k_norm",
    },
    differences: (model) => [
      ...gemmaDifferences(model, LARGE),
      ...model.logitCap === undefined
        ? []
        : [`its logits have a cap of ${model.logitCap}, expected none in a gemma3 of llama.cpp`],
    ],
    config: (facts) => ({
      ...gemmaGgufConfig(facts, LARGE),
      sliding_window_pattern: facts.number("attention.sliding_window_pattern") ?? PERIOD,
      rope_local_base_freq: facts.number("rope.freq_base_swa") ?? LOCAL_THETA,
      final_logit_softcapping: facts.number("final_logit_softcapping") || null,
    }),
  },
};

/** Rope parameters for each type of layer, as transformers 5 writes them; 4 scales those of full layers. */
function ropesByType(
  { rope_parameters, rope_scaling, rope_theta, rope_local_base_freq }: z.infer<typeof gemma3Json>,
) {
  const { full_attention, sliding_attention } = rope_parameters ?? {};
  return {
    rope_scaling: null,
    rope_parameters: {
      full_attention: { rope_theta, ...rope_scaling, ...full_attention },
      sliding_attention: { rope_theta: rope_local_base_freq, ...sliding_attention },
    },
  };
}
