import type { DecoderConfig, LinearRole } from "./family.ts";

/** The linears of a layer in the order they run. */
export const LINEARS: readonly LinearRole[] = ["q", "k", "v", "o", "gate", "up", "down"];

/** Tensor names of transformers that decoders of the Llama kind share. */
export const NAMES = {
  embeddings: "model.embed_tokens.weight",
  norm: "model.norm.weight",
  head: "lm_head.weight",
} as const;

/** The part before `.weight` or `.bias` of a layer's linear. */
export function linearName(layer: number, role: LinearRole): string {
  const block = "qkvo".includes(role) ? "self_attn" : "mlp";
  return `model.layers.${layer}.${block}.${role}_proj`;
}

/** The gains of a layer's two norms. */
export function normName(layer: number, norm: "attention" | "mlp"): string {
  const name = norm === "attention" ? "input_layernorm" : "post_attention_layernorm";
  return `model.layers.${layer}.${name}.weight`;
}

/** The weight that makes the logits. */
export function headName({ tied }: DecoderConfig): string {
  return tied ? NAMES.embeddings : NAMES.head;
}
