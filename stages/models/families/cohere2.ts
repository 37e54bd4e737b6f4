import { z } from "zod";
import { decoderConfig } from "../config.ts";
import { readConfig } from "../config_keys.ts";
import type { Family } from "../family.ts";
import { COHERE_GGUF, readCohere } from "./cohere.ts";
import { loadDecoderLayer } from "./decoder_layer.ts";
import { decoderLayout } from "./decoder_layout.ts";

/** Layers up to one that attends to all keys. */
const PERIOD = 4;

/** What transformers takes for keys that a `config.json` leaves out. */
const cohere2Json = z.looseObject({
  sliding_window: z.int().positive().nullish(),
  sliding_window_pattern: z.int().positive().default(PERIOD),
  layer_types: z.array(z.enum(["sliding_attention", "full_attention"])).nullish(),
});

/** Cohere's Command R7B and A: layers with a window turn queries and keys, those that see all keys do not. */
export const cohere2: Family = {
  architectures: ["Cohere2ForCausalLM"],
  config(json) {
    const { parsed, particulars } = readCohere({ ...json as object, use_qk_norm: false });
    const { sliding_window, sliding_window_pattern: every, layer_types } = readConfig(
      cohere2Json,
      { sliding_window: 4096, ...json as object },
    );
    const slides = (layer: number) =>
      layer_types ? layer_types[layer] === "sliding_attention" : (layer + 1) % every !== 0;
    const window = sliding_window ?? undefined;
    const windows = Array.from(
      { length: parsed.num_hidden_layers },
      (_, layer) => slides(layer) ? window : undefined,
    );
    return decoderConfig(parsed, {
      ...particulars,
      windows,
      // A layer without a window does not turn, also where there is none anywhere.
      rope: { still: (layer) => !slides(layer) || window === undefined },
    });
  },
  layout: decoderLayout,
  load: loadDecoderLayer,
  gguf: {
    ...COHERE_GGUF,
    architecture: "cohere2",
    name: "Cohere2ForCausalLM",
    type: "cohere2",
    parts: {},
    still: (layer) => (layer + 1) % PERIOD === 0,
    windows: { period: PERIOD },
    config: ({ attentionBias, number, window }) => ({
      attention_bias: attentionBias,
      logit_scale: number("logit_scale"),
      sliding_window: window ?? null,
      sliding_window_pattern: number("attention.sliding_window_pattern") ?? PERIOD,
    }),
  },
};
