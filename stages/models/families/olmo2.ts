import { decoderConfig, noWindows, parseDecoderJson } from "../config.ts";
import type { Family } from "../family.ts";
import { loadDecoderLayer } from "./decoder_layer.ts";
import { decoderLayout } from "./decoder_layout.ts";
import { tiedProblems } from "./stablelm.ts";

/** OLMo 2: Llama with norms behind attention and MLP instead of before them, and of all queries and all keys. */
export const olmo2: Family = {
  architectures: ["Olmo2ForCausalLM"],
  config(json) {
    const parsed = parseDecoderJson({ rms_norm_eps: 1e-5, ...json as object });
    return decoderConfig(parsed, {
      biases: parsed.attention_bias ? ["q", "k", "v", "o"] : [],
      windows: noWindows(parsed),
      queryKeyNorms: "row",
      layerNorms: {
        attention: { behind: "post_attention_layernorm" },
        mlp: { behind: "post_feedforward_layernorm" },
      },
    });
  },
  layout: decoderLayout,
  load: loadDecoderLayer,
  gguf: {
    architecture: "olmo2",
    name: "Olmo2ForCausalLM",
    type: "olmo2",
    interleaved: false,
    ownHeadSize: false,
    partialRotary: false,
    ropeDivisors: false,
    parts: {
      attn_q_norm: "self_attn.q_norm",
      attn_k_norm: "self_attn.k_norm",
      post_attention_norm: "post_attention_layernorm",
      post_ffw_norm: "post_feedforward_layernorm",
    },
    differences: (model) => [
      ...tiedProblems(model),
      ...model.biases.length > 0
        ? [`its ${model.biases[0]}_proj has a bias, expected none in an olmo2 of llama.cpp`]
        : [],
    ],
    config: () => ({ attention_bias: false }),
  },
};
