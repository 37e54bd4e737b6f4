import { decoderConfig, parseDecoderJson } from "../config.ts";
import type { Family } from "../family.ts";
import { loadDecoderLayer } from "./decoder_layer.ts";
import { decoderLayout } from "./decoder_layout.ts";

/** Phi 3, 3.5 and 4: Mistral with LongRoPE, heads that turn in part, and linears stored as one. */
export const phi3: Family = {
  architectures: ["Phi3ForCausalLM"],
  config(json) {
    const parsed = parseDecoderJson({ rms_norm_eps: 1e-5, ...withLongrope(json) });
    const window = parsed.sliding_window ?? undefined;
    const windows = Array.from({ length: parsed.num_hidden_layers }, () => window);
    return decoderConfig(parsed, { biases: [], windows, rope: { partial: true } });
  },
  layout: decoderLayout,
  fused: {
    "self_attn.qkv_proj": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    "mlp.gate_up_proj": ["mlp.gate_proj", "mlp.up_proj"],
  },
  load: loadDecoderLayer,
  gguf: {
    architecture: "phi3",
    name: "Phi3ForCausalLM",
    type: "phi3",
    interleaved: false,
    ownHeadSize: false,
    partialRotary: true,
    ropeDivisors: true,
    parts: { attn_qkv: "self_attn.qkv_proj", ffn_up: "mlp.gate_up_proj" },
    config: ({ window }) => ({ sliding_window: window ?? null }),
  },
};

/** Phi-3 was published with other words for LongRoPE, which transformers takes for it. */
function withLongrope(json: unknown): object {
  const named = (key: string) => {
    const rope = (json as Readonly<Record<string, unknown>>)[key] as
      | Readonly<Record<string, unknown>>
      | null
      | undefined;
    const type = rope?.rope_type ?? rope?.type;
    if (type !== "yarn" && type !== "su") return {};
    return { [key]: { ...rope, type: "longrope", rope_type: "longrope" } };
  };
  return { ...json as object, ...named("rope_scaling"), ...named("rope_parameters") };
}
