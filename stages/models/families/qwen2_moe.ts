import { z } from "zod";
import { decoderConfig, laterWindows, parseDecoderJson } from "../config.ts";
import { qwenExperts } from "../experts_config.ts";
import type { Family } from "../family.ts";
import { loadDecoderLayer } from "./decoder_layer.ts";
import { decoderLayout } from "./decoder_layout.ts";

const own = z.looseObject({
  qkv_bias: z.boolean().default(true),
  sliding_window: z.number().nullish(),
});

/** Qwen 1.5 MoE and Qwen 2 MoE: Qwen 2 with experts, beside one that all tokens go through. */
export const qwen2Moe: Family = {
  architectures: ["Qwen2MoeForCausalLM"],
  config(json) {
    const { qkv_bias, sliding_window } = own.parse(json);
    // Transformers writes 0 for none.
    const parsed = parseDecoderJson({ ...json as object, sliding_window: sliding_window || null });
    const layers = parsed.num_hidden_layers;
    return decoderConfig(parsed, {
      biases: qkv_bias ? ["q", "k", "v"] : [],
      windows: laterWindows(parsed),
      experts: qwenExperts(json, { layers, shared: true }),
    });
  },
  layout: decoderLayout,
  stacks: true,
  load: loadDecoderLayer,
  gguf: {
    architecture: "qwen2moe",
    name: "Qwen2MoeForCausalLM",
    type: "qwen2_moe",
    interleaved: false,
    ownHeadSize: false,
    partialRotary: false,
    ropeDivisors: false,
    experts: { normalized: false, ownInner: true },
    parts: {
      ffn_gate_inp: "mlp.gate",
      ffn_gate_exps: "mlp.experts.gate_proj",
      ffn_up_exps: "mlp.experts.up_proj",
      ffn_down_exps: "mlp.experts.down_proj",
      ffn_gate_inp_shexp: "mlp.shared_expert_gate",
      ffn_gate_shexp: "mlp.shared_expert.gate_proj",
      ffn_up_shexp: "mlp.shared_expert.up_proj",
      ffn_down_shexp: "mlp.shared_expert.down_proj",
    },
    config: ({ experts, attentionBias }) => ({
      num_experts: experts!.count,
      num_experts_per_tok: experts!.chosen,
      moe_intermediate_size: experts!.inner,
      shared_expert_intermediate_size: experts!.shared,
      norm_topk_prob: false,
      qkv_bias: attentionBias,
      use_sliding_window: false,
    }),
  },
};
