import { z } from "zod";
import { decoderConfig, noWindows, parseDecoderJson, statedBiases } from "../config.ts";
import { readConfig } from "../config_keys.ts";
import type { Family } from "../family.ts";
import { loadDecoderLayer } from "./decoder_layer.ts";
import { decoderLayout } from "./decoder_layout.ts";

const scale = z.number().default(1);
const graniteJson = z.looseObject({
  embedding_multiplier: scale,
  residual_multiplier: scale,
  /** Of scores, where others have 1 / sqrt(head size). */
  attention_multiplier: scale,
  /** What logits are divided by. */
  logits_scaling: scale.refine((value) => value !== 0, "expected another number than 0"),
});

/** IBM's Granite 3: Llama with factors for embeddings, scores, what blocks add, and logits. */
export const granite: Family = {
  architectures: ["GraniteForCausalLM"],
  config(json) {
    const parsed = parseDecoderJson(json);
    const own = readConfig(graniteJson, json);
    return decoderConfig(parsed, {
      biases: statedBiases(parsed),
      windows: noWindows(parsed),
      embeddingScale: own.embedding_multiplier,
      residualScale: own.residual_multiplier,
      attentionScale: own.attention_multiplier,
      logitScale: 1 / own.logits_scaling,
    });
  },
  layout: decoderLayout,
  load: loadDecoderLayer,
  gguf: {
    architecture: "granite",
    name: "GraniteForCausalLM",
    type: "granite",
    interleaved: true,
    ownHeadSize: true,
    partialRotary: false,
    ropeDivisors: true,
    parts: {},
    numbers: ({ embeddingScale, residualScale, attentionScale, logitScale }) => ({
      embedding_scale: embeddingScale,
      residual_scale: residualScale,
      "attention.scale": attentionScale,
      logit_scale: 1 / logitScale,
    }),
    differences: ({ embeddingScale, residualScale, attentionScale }) =>
      [embeddingScale, residualScale, attentionScale].includes(0)
        ? ["a multiplier of it is 0, expected another number: llama.cpp takes 0 for none"]
        : [],
    config: ({ attentionBias, mlpBias, number }) => ({
      attention_bias: attentionBias,
      mlp_bias: mlpBias,
      // 0 stands for none.
      embedding_multiplier: number("embedding_scale") || 1,
      residual_multiplier: number("residual_scale") || 1,
      attention_multiplier: number("attention.scale") ||
        Math.sqrt(number("attention.head_count")! / number("embedding_length")!),
      logits_scaling: number("logit_scale") ?? 1,
    }),
  },
};
