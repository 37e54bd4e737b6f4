/** Names of a whole model, GGUF to transformers. */
const WHOLE: Readonly<Record<string, string>> = {
  "token_embd.weight": "model.embed_tokens.weight",
  "output_norm.weight": "model.norm.weight",
  "output.weight": "lm_head.weight",
};

/** Parts of a layer, GGUF to transformers. */
const PART: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

/** The name in transformers of a tensor of a GGUF file, where it has one. */
export function transformersName(name: string): string | undefined {
  const [, layer, part, kind] = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name) ?? [];
  if (part === undefined) return WHOLE[name];
  const translated = PART[part];
  return translated && `model.layers.${layer}.${translated}.${kind}`;
}

/**
 * For rows of q and k in the order of transformers, the rows of a llama-architecture GGUF file.
 *
 * Transformers rotates the first half of a head against the second; llama.cpp rotates neighbours
 * and interleaves the halves when it converts.
 */
export function interleavedRow(row: number, headSize: number): number {
  const inside = row % headSize;
  const half = headSize / 2;
  return row - inside + (inside < half ? inside * 2 : (inside - half) * 2 + 1);
}
