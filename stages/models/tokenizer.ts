import { Tokenizer as JsonTokenizer } from "@huggingface/tokenizers";
import type { TokenizerFiles } from "../formats/checkpoint.ts";
import { withExactSplits } from "./pre_tokenizer.ts";

/** Text to token ids and back, as the model's own tokenizer does it. */
export interface Tokenizer {
  /** One more than the largest id. */
  readonly size: number;
  /** The token texts begin with, and the one they end with, where the model has them. */
  readonly bos?: number;
  readonly eos?: number;
  /** Ids of a text; `special` adds what the model puts around texts, such as the first token. */
  encode(text: string, options?: { readonly special?: boolean }): number[];
  /** Text of ids, special tokens included. */
  decode(ids: readonly number[]): string;
  /** The token of an id as the vocabulary spells it. */
  token(id: number): string | undefined;
  /** The id of a token as the vocabulary spells it. */
  id(token: string): number | undefined;
}

/** Makes a tokenizer from the contents of its two files. */
export function openTokenizer(files: TokenizerFiles): Tokenizer {
  const { tokenizer, config } = files;
  const inner = new JsonTokenizer(withExactSplits(tokenizer), config as object);
  const vocabulary = inner.get_vocab();
  const special = (key: string): number | undefined => {
    const value = (config as Record<string, unknown> | null)?.[key];
    const token = typeof value === "string"
      ? value
      : (value as { content?: string } | null)?.content;
    return token === undefined ? undefined : inner.token_to_id(token);
  };
  return {
    size: vocabulary.values().reduce((most, id) => Math.max(most, id), -1) + 1,
    ...given("bos", special("bos_token")),
    ...given("eos", special("eos_token")),
    encode: (text, { special = false } = {}) =>
      inner.encode(text, { add_special_tokens: special }).ids,
    decode: (ids) =>
      ids.length === 0 ? "" : inner.decode([...ids], { clean_up_tokenization_spaces: false }),
    token: (id) => inner.id_to_token(id),
    id: (token) => inner.token_to_id(token),
  };
}

function given<K extends string>(key: K, value: number | undefined): { [key in K]?: number } {
  return (value === undefined ? {} : { [key]: value }) as { [key in K]?: number };
}
