import { z } from "zod";

/** How refusals of tokenizers begin. */
export const WRITE = "Cannot write the tokenizer to a GGUF file";

const step = z.looseObject({ type: z.string() });
/** A `tokenizer.json` of Hugging Face, as far as a GGUF file can say it. */
export const tokenizerJson = z.looseObject({
  added_tokens: z.array(z.looseObject({
    id: z.int().nonnegative(),
    content: z.string(),
    special: z.boolean().default(false),
    lstrip: z.boolean().default(false),
    rstrip: z.boolean().default(false),
    single_word: z.boolean().default(false),
  })).default([]),
  normalizer: step.nullish(),
  pre_tokenizer: step.nullish(),
  post_processor: step.nullish(),
  model: z.looseObject({
    type: z.string().default("BPE"),
    vocab: z.unknown(),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])).default([]),
    unk_token: z.string().nullish(),
    byte_fallback: z.boolean().nullish(),
    ignore_merges: z.boolean().nullish(),
    continuing_subword_prefix: z.string().nullish(),
    end_of_word_suffix: z.string().nullish(),
  }),
});
/** See `tokenizerJson`. */
export type TokenizerJson = z.infer<typeof tokenizerJson>;

/** A token of the vocabulary, as `tokenizer.ggml.token_type` numbers its kind. */
export const NORMAL = 1;
/** The token that stands for what the vocabulary lacks. */
export const UNKNOWN = 2;
/** A special token, met only where special tokens are asked for. */
export const CONTROL = 3;
/** An added token that is met in any text. */
export const USER_DEFINED = 4;
/** An id without a token. */
export const UNUSED = 5;
/** A token that stands for one byte. */
export const BYTE = 6;
