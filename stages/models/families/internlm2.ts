import { z } from "zod";
import { type DecoderConfig } from "../config.ts";
import { readConfig } from "../config_keys.ts";
import type { Family, Origin } from "../family.ts";
import { decoderLayout } from "./decoder_layout.ts";
import { llama, llamaGguf } from "./llama.ts";

/** InternLM 2's own modules, by those of Llama that they are. */
const MODULES: Readonly<Record<string, string>> = {
  "self_attn.o_proj": "attention.wo",
  "mlp.gate_proj": "feed_forward.w1",
  "mlp.up_proj": "feed_forward.w3",
  "mlp.down_proj": "feed_forward.w2",
  input_layernorm: "attention_norm",
  post_attention_layernorm: "ffn_norm",
};
const WHOLE: Readonly<Record<string, string>> = {
  "model.embed_tokens.weight": "model.tok_embeddings.weight",
  "lm_head.weight": "output.weight",
};

const internlm2Json = z.looseObject({
  /** Of all linears of attention. */
  bias: z.boolean().default(true),
  /** Where its code lies, which is not asked for any more. */
  auto_map: z.unknown().optional(),
  attn_implementation: z.unknown().optional(),
});

/**
 * InternLM 2 and 2.5: Llama whose linears have other names and whose queries, keys and values are one
 * tensor, kv head by kv head (modeling_internlm2.py of internlm2-chat-7b). transformers has no class for
 * it, so what is loaded is Llama, which every engine runs.
 */
export const internlm2: Family = {
  architectures: ["InternLM2ForCausalLM"],
  config: (json) => llama.config(asLlama(json)),
  layout: decoderLayout,
  load: llama.load,
  retelling: (json, config) => ({
    config: asLlama(json),
    origins: originsOf(config),
    words: "InternLM2ForCausalLM is read as LlamaForCausalLM, which it is by other names",
  }),
  gguf: { ...llamaGguf, architecture: "internlm2" },
};

function asLlama(json: unknown): Record<string, unknown> {
  const { bias, auto_map: _, attn_implementation: __, ...rest } = readConfig(internlm2Json, json);
  return {
    ...rest,
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    attention_bias: bias,
  };
}

function originsOf(config: DecoderConfig): ReadonlyMap<string, Origin> {
  const { heads, kvHeads, headSize } = config;
  const queries = heads / kvHeads;
  const group = queries + 2;
  const rows = kvHeads * group * headSize;
  /** Heads of wqkv: the queries of a kv head, its keys, its values. */
  const places: Readonly<Record<string, (head: number) => number>> = {
    q: (head) => Math.floor(head / queries) * group + head % queries,
    k: (head) => head * group + queries,
    v: (head) => head * group + queries + 1,
  };
  const { tensors } = decoderLayout(config);
  return new Map([...tensors.keys()].flatMap((name): [string, Origin][] => {
    const [, layer, module = "", kind] = /^(model\.layers\.\d+)\.([\w.]+)\.(weight|bias)$/
      .exec(name) ?? [];
    const [, role = ""] = /^self_attn\.([qkv])_proj$/.exec(module) ?? [];
    const headOf = places[role];
    if (headOf) {
      const source = `${layer}.attention.wqkv.${kind}`;
      const firstOf = (head: number) => headOf(head) * headSize;
      return [[name, { source, rows, size: headSize, firstOf }]];
    }
    const own = MODULES[module];
    const source = own === undefined ? WHOLE[name] : `${layer}.${own}.${kind}`;
    return source === undefined ? [] : [[name, { source }]];
  }));
}
