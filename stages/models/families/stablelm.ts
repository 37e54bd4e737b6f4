import { z } from "zod";
import { decoderConfig, noWindows, parseDecoderJson } from "../config.ts";
import { readConfig } from "../config_keys.ts";
import type { GgufModel } from "../../formats/gguf/model_class.ts";
import type { Family } from "../family.ts";
import { loadDecoderLayer } from "./decoder_layer.ts";
import { decoderLayout } from "./decoder_layout.ts";

const stablelmJson = z.looseObject({
  layer_norm_eps: z.number().positive().default(1e-5),
  use_qkv_bias: z.boolean().default(false),
  qk_layernorm: z.boolean().default(false),
  use_parallel_residual: z.boolean().default(false),
  /** Where no rope parameters say it. */
  partial_rotary_factor: z.number().nullish().transform((share) => share ?? 0.25),
});

/** Why llama.cpp would not find the head of a class that has one of its own there. */
export function tiedProblems({ tied }: GgufModel): string[] {
  if (!tied) return [];
  return [
    "its head is the embedding table, expected a tensor of its own; rotate or fold gives it one",
  ];
}

/** StableLM 1 and 2: LayerNorm, heads that turn in part; in its largest, blocks beside each other and head norms. */
export const stablelm: Family = {
  architectures: ["StableLmForCausalLM"],
  config(json) {
    const own = readConfig(stablelmJson, json);
    const { layer_norm_eps: rms_norm_eps, partial_rotary_factor } = own;
    const parsed = parseDecoderJson({ ...json as object, rms_norm_eps, partial_rotary_factor });
    return decoderConfig(parsed, {
      biases: own.use_qkv_bias ? ["q", "k", "v"] : [],
      windows: noWindows(parsed),
      rope: { partial: true },
      norm: "layer",
      normBias: true,
      parallel: own.use_parallel_residual,
      queryKeyNorms: own.qk_layernorm ? "own" : undefined,
    });
  },
  layout: (config) =>
    decoderLayout(config, {
      queryKeyNorm: "layernorm",
      headGain: (module, head) => `${module}.norms.${head}.weight`,
    }),
  joins: true,
  load: loadDecoderLayer,
  gguf: {
    architecture: "stablelm",
    name: "StableLmForCausalLM",
    type: "stablelm",
    interleaved: false,
    ownHeadSize: false,
    partialRotary: true,
    layerNorm: true,
    ropeDivisors: false,
    parts: { attn_q_norm: "self_attn.q_layernorm", attn_k_norm: "self_attn.k_layernorm" },
    differences: tiedProblems,
    config: ({ attentionBias, number, has }) => ({
      use_qkv_bias: attentionBias,
      qk_layernorm: has("self_attn.q_layernorm"),
      use_parallel_residual: !has("post_attention_layernorm"),
      partial_rotary_factor: number("rope.dimension_count")! * number("attention.head_count")! /
        number("embedding_length")!,
    }),
  },
};
