import type { GgufClass } from "./model_class.ts";

/** Names of a whole model, GGUF to transformers. */
const WHOLE: Readonly<Record<string, string>> = {
  "token_embd.weight": "model.embed_tokens.weight",
  "output_norm.weight": "model.norm.weight",
  "output_norm.bias": "model.norm.bias",
  "output.weight": "lm_head.weight",
};

/** Parts of a layer that all decoders have, GGUF to transformers. */
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
export function transformersName(
  name: string,
  { parts }: Pick<GgufClass, "parts">,
): string | undefined {
  // Files of 2023 hold experts one by one.
  const [, at, one, expert] = /^blk\.(\d+)\.(ffn_\w+)\.(\d+)\.weight$/.exec(name) ?? [];
  const all = parts[`${one}_exps`];
  if (all) return `model.layers.${at}.${all.replace(".experts.", `.experts.${expert}.`)}.weight`;
  const [, layer, part, kind] = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name) ?? [];
  if (part === undefined) return WHOLE[name];
  const translated = parts[part] ?? PART[part];
  return translated && `model.layers.${layer}.${translated}.${kind}`;
}

/** The name in a GGUF file of a tensor of transformers, where llama.cpp knows it. */
export function ggufName(
  name: string,
  { parts }: Pick<GgufClass, "parts">,
): string | undefined {
  const [, layer, part, kind] = /^model\.layers\.(\d+)\.([\w.]+)\.(weight|bias)$/.exec(name) ?? [];
  const tables = part === undefined ? [WHOLE] : [parts, PART];
  const found = tables.flatMap((table) => Object.entries(table))
    .find(([, theirs]) => theirs === (part ?? name))?.[0];
  return found && part !== undefined ? `blk.${layer}.${found}.${kind}` : found;
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

/** Whether rows of a tensor, by its name in GGUF, lie interleaved in files of a class. */
export function isInterleaved(
  name: string,
  { interleaved }: Pick<GgufClass, "interleaved">,
): boolean {
  return interleaved && /\.attn_[qk]\./.test(name);
}

/** Bytes of whole heads' rows in the order of a llama-architecture GGUF file. */
export function interleave(
  bytes: Uint8Array,
  { rows, headSize }: { readonly rows: number; readonly headSize: number },
): Uint8Array<ArrayBuffer> {
  const size = bytes.length / rows;
  const ordered = new Uint8Array(bytes.length);
  for (let row = 0; row < rows; row++) {
    ordered.set(bytes.subarray(row * size, (row + 1) * size), interleavedRow(row, headSize) * size);
  }
  return ordered;
}
