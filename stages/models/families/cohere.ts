import { z } from "zod";
import { decoderConfig, noWindows, parseDecoderJson, type Particulars } from "../config.ts";
import { readConfig } from "../config_keys.ts";
import type { GgufClass } from "../../formats/gguf/model_class.ts";
import type { Family } from "../family.ts";
import { loadDecoderLayer } from "./decoder_layer.ts";
import { decoderLayout } from "./decoder_layout.ts";

/** What transformers takes for keys that a `config.json` leaves out. */
const cohereJson = z.looseObject({
  layer_norm_eps: z.number().positive().nullish().transform((eps) => eps ?? 1e-5),
  logit_scale: z.number().nullish().transform((scale) => scale ?? 1 / 16),
  tie_word_embeddings: z.boolean().default(true),
  max_position_embeddings: z.int().positive().default(8192),
  use_qk_norm: z.boolean().nullish().transform((norms) => norms ?? false),
});

/** Reads what Cohere's first two models have in common. */
export function readCohere(json: unknown) {
  const own = readConfig(cohereJson, json);
  const parsed = parseDecoderJson({ ...own, rms_norm_eps: own.layer_norm_eps });
  const particulars: Omit<Particulars, "windows"> = {
    biases: parsed.attention_bias ? ["q", "k", "v", "o"] : [],
    norm: "layer",
    parallel: true,
    neighbours: true,
    logitScale: own.logit_scale,
    queryKeyNorms: own.use_qk_norm ? "own" : undefined,
  };
  return { parsed, particulars };
}

/** What llama.cpp has both as. */
export const COHERE_GGUF = {
  // Neighbours turn in the model as well.
  interleaved: false,
  ownHeadSize: false,
  partialRotary: false,
  layerNorm: true,
  ropeDivisors: false,
  parts: { attn_q_norm: "self_attn.q_norm", attn_k_norm: "self_attn.k_norm" },
  numbers: ({ logitScale }) => ({ logit_scale: logitScale }),
  differences: ({ tied, biases, logitScale }) =>
    said([
      !tied &&
      "its head is a tensor of its own, expected the embedding table, which llama.cpp takes for it; rotate and fold take them apart",
      biases.includes("o") && "its o_proj has a bias, expected none: llama.cpp loads none",
      logitScale === 0 &&
      "its logit_scale is 0, expected another number: llama.cpp takes 0 for none",
    ]),
} as const satisfies Partial<GgufClass>;

function said(texts: readonly (string | false)[]): string[] {
  return texts.filter((text) => text !== false);
}

/** Cohere's Command R: LayerNorm without biases, blocks beside each other, neighbours that turn together. */
export const cohere: Family = {
  architectures: ["CohereForCausalLM"],
  config(json) {
    const { parsed, particulars } = readCohere(json);
    return decoderConfig(parsed, { ...particulars, windows: noWindows(parsed) });
  },
  layout: decoderLayout,
  joins: true,
  load: loadDecoderLayer,
  gguf: {
    ...COHERE_GGUF,
    architecture: "command-r",
    name: "CohereForCausalLM",
    type: "cohere",
    config: ({ attentionBias, number, has }) => ({
      attention_bias: attentionBias,
      logit_scale: number("logit_scale"),
      use_qk_norm: has("self_attn.q_norm"),
    }),
  },
};
