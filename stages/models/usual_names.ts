/**
 * What tensors are by the names that most models in transformers have, for those that no family here
 * knows.
 */
export const USUAL = {
  embeddings: "model.embed_tokens.weight",
  norm: /norm\.weight$/,
  linear: /^(.*_proj)\.(?:weight|qweight|weight_packed)$/,
} as const;
