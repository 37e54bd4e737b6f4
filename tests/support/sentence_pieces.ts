import sentencepiece from "../testdata/sentencepiece_tokens.json" with { type: "json" };

/** What a GGUF file says of a small SentencePiece tokenizer. */
export const SENTENCE_PIECES = {
  "tokenizer.ggml.model": "llama",
  "tokenizer.ggml.tokens": sentencepiece.tokens,
  "tokenizer.ggml.scores": sentencepiece.scores,
  "tokenizer.ggml.token_type": sentencepiece.kinds,
  "tokenizer.ggml.bos_token_id": 1,
  "tokenizer.ggml.eos_token_id": 2,
  "tokenizer.ggml.unknown_token_id": 0,
};
