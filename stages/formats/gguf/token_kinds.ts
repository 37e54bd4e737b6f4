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
