import { z } from "zod";
import {
  decoderConfig,
  noWindows,
  parseDecoderJson,
  type Particulars,
  readConfig,
} from "../config.ts";
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
};
