import { Tokenizer as JsonTokenizer } from "@huggingface/tokenizers";
import type { TokenizerFiles } from "../formats/checkpoint.ts";

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
  const inner = openJson(tokenizer, config);
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

/** What the library stumbles over is told in a sentence, and so is what it would take for something. */
function openJson(tokenizer: unknown, config: unknown): JsonTokenizer {
  const refuse = (is: string, expected: string, cause?: unknown) =>
    new TypeError(`Cannot open the tokenizer: ${is}, expected ${expected}`, { cause });
  if (!isObject(tokenizer)) throw refuse("tokenizer.json is no object", "one");
  if (!isObject(config ?? {})) throw refuse("tokenizer_config.json is no object", "one");
  const { model } = tokenizer as { readonly model?: unknown };
  if (!isObject(model)) throw refuse('tokenizer.json has no "model"', "one with a vocabulary");
  try {
    return new JsonTokenizer(withExactSplits(tokenizer), config ?? {});
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw refuse(
      `tokenizer.json is not as it should be (${why})`,
      "it as transformers writes it",
      cause,
    );
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function given<K extends string>(key: K, value: number | undefined): { [key in K]?: number } {
  return (value === undefined ? {} : { [key]: value }) as { [key in K]?: number };
}

/** A step of the `pre_tokenizer` of a `tokenizer.json`, as far as we look at it. */
interface Step {
  readonly type?: string;
  readonly individual_digits?: boolean;
  readonly add_prefix_space?: boolean;
  readonly use_regex?: boolean;
  readonly pretokenizers?: readonly Step[];
}

/** Where GPT-2 cuts text: contractions, words, numbers, symbols and white space. */
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/**
 * The same `tokenizer.json` with its ready-made cuts spelt out as patterns.
 *
 * The Rust library that defines the format counts "½" and "٣" as digits and U+0085 as white
 * space; the JavaScript one does so only in patterns, and would give other tokens.
 */
function withExactSplits(tokenizer: unknown): object {
  const { pre_tokenizer: step } = tokenizer as { readonly pre_tokenizer?: Step | null };
  return { ...(tokenizer as object), ...(step ? { pre_tokenizer: exactly(step) } : {}) };
}

function exactly(step: Step): unknown {
  switch (step.type) {
    case "Sequence":
      return { ...step, pretokenizers: step.pretokenizers?.map(exactly) };
    case "Digits":
      return splitAt(step.individual_digits ? "\\p{N}" : "\\p{N}+");
    case "ByteLevel":
      if (step.add_prefix_space || step.use_regex === false) return step;
      return { type: "Sequence", pretokenizers: [splitAt(GPT2), { ...step, use_regex: false }] };
    default:
      return step;
  }
}

function splitAt(pattern: string): unknown {
  return { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
}
