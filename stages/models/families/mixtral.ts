import { decoderConfig, parseDecoderJson } from "../config.ts";
import { mixtralExperts } from "../experts_config.ts";
import type { Family } from "../family.ts";
import { loadDecoderLayer } from "./decoder_layer.ts";
import { decoderLayout } from "./decoder_layout.ts";
import { llamaGguf } from "./llama.ts";

/** Mixtral: Mistral with experts in the place of its MLP (Jiang et al. 2024). */
export const mixtral: Family = {
  architectures: ["MixtralForCausalLM"],
  config(json) {
    const parsed = parseDecoderJson({ rms_norm_eps: 1e-5, ...json as object });
    const { intermediate_size: inner, num_hidden_layers: layers } = parsed;
    const window = parsed.sliding_window ?? undefined;
    return decoderConfig(parsed, {
      biases: [],
      windows: Array.from({ length: layers }, () => window),
      experts: mixtralExperts(json, { inner, layers }),
    });
  },
  layout: decoderLayout,
  stacks: true,
  load: loadDecoderLayer,
  gguf: {
    ...llamaGguf,
    name: "MixtralForCausalLM",
    type: "mixtral",
    experts: { normalized: true, ownInner: false },
    parts: {
      ffn_gate_inp: "block_sparse_moe.gate",
      ffn_gate_exps: "block_sparse_moe.experts.w1",
      ffn_up_exps: "block_sparse_moe.experts.w3",
      ffn_down_exps: "block_sparse_moe.experts.w2",
    },
    config: ({ experts }) => ({
      num_local_experts: experts!.count,
      num_experts_per_tok: experts!.chosen,
      sliding_window: null,
    }),
  },
};
