/** Files that may make a tokenizer, beside those that travel with every model, by what they hold. */
export const TOKENIZER_FILES = {
  json: "tokenizer.json",
  config: "tokenizer_config.json",
  pieces: "tokenizer.model",
  vocabulary: "vocab.json",
  merges: "merges.txt",
} as const;

/** Their names. */
export const TOKENIZER_SOURCES: readonly string[] = Object.values(TOKENIZER_FILES);
