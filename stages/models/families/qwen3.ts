import { decoderConfig, laterWindows, parseDecoderJson } from "../config.ts";
import type { Family } from "../family.ts";
import { loadDecoderLayer } from "./decoder_layer.ts";
import { decoderLayout } from "./decoder_layout.ts";

/** Qwen 3: Llama with normalized queries and keys, and heads of a size of their own. */
export const qwen3: Family = {
  architectures: ["Qwen3ForCausalLM"],
  config(json) {
    const parsed = parseDecoderJson(json);
    return decoderConfig({ ...parsed, head_dim: parsed.head_dim ?? 128 }, {
      biases: parsed.attention_bias ? ["q", "k", "v", "o"] : [],
      windows: laterWindows(parsed),
      queryKeyNorms: "shared",
    });
  },
  layout: decoderLayout,
  load: loadDecoderLayer,
  gguf: {
    architecture: "qwen3",
    name: "Qwen3ForCausalLM",
    type: "qwen3",
    interleaved: false,
    ownHeadSize: true,
    partialRotary: false,
    ropeDivisors: false,
    parts: { attn_q_norm: "self_attn.q_norm", attn_k_norm: "self_attn.k_norm" },
    config: ({ attentionBias }) => ({ attention_bias: attentionBias, use_sliding_window: false }),
  },
};
