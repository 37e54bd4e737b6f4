import { decoderConfig, laterWindows, parseDecoderJson } from "../config.ts";
import { qwenExperts } from "../experts_config.ts";
import type { Family } from "../family.ts";
import { loadDecoderLayer } from "./decoder_layer.ts";
import { decoderLayout } from "./decoder_layout.ts";

/** Qwen 3 MoE: Qwen 3 with experts in the place of its MLP. */
export const qwen3Moe: Family = {
  architectures: ["Qwen3MoeForCausalLM"],
  config(json) {
    const parsed = parseDecoderJson(json);
    return decoderConfig(parsed, {
      biases: parsed.attention_bias ? ["q", "k", "v", "o"] : [],
      windows: laterWindows(parsed),
      queryKeyNorms: "shared",
      experts: qwenExperts(json, { layers: parsed.num_hidden_layers, shared: false }),
    });
  },
  layout: decoderLayout,
  stacks: true,
  load: loadDecoderLayer,
  gguf: {
    architecture: "qwen3moe",
    name: "Qwen3MoeForCausalLM",
    type: "qwen3_moe",
    interleaved: false,
    ownHeadSize: true,
    partialRotary: false,
    ropeDivisors: false,
    experts: { normalized: true, ownInner: true },
    parts: {
      ffn_gate_inp: "mlp.gate",
      ffn_gate_exps: "mlp.experts.gate_proj",
      ffn_up_exps: "mlp.experts.up_proj",
      ffn_down_exps: "mlp.experts.down_proj",
      attn_q_norm: "self_attn.q_norm",
      attn_k_norm: "self_attn.k_norm",
    },
    config: ({ experts, attentionBias }) => ({
      num_experts: experts!.count,
      num_experts_per_tok: experts!.chosen,
      moe_intermediate_size: experts!.inner,
      norm_topk_prob: true,
      attention_bias: attentionBias,
      use_sliding_window: false,
    }),
  },
};
