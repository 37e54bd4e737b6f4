import { ApiError, fieldError } from "./api_error.ts";
import type { ServedTokenizer } from "./served_tokenizer.ts";
import { textOf } from "./text_stream.ts";

/** A prompt as tokens, with its text as a client sees it. */
export interface Prompt {
  readonly tokens: readonly number[];
  /** As it was given; undefined where tokens were given. */
  readonly text?: string;
  /** Tokens put before those of the text. */
  readonly added: number;
}

/**
 * Reads the four shapes of a prompt: a text, texts, tokens, lists of tokens.
 *
 * Tokens are used as they are; texts get what the model puts around texts, unless `special` is false.
 */
export function readPrompts(
  value: unknown,
  { tokenizer, special, context, maxText, field = "prompt", checkCount }: {
    readonly tokenizer: ServedTokenizer;
    readonly special: boolean;
    /** Texts that cannot be this few tokens are refused before they are cut into tokens. */
    readonly context: number;
    /** Most characters of all texts. */
    readonly maxText: number;
    /** The field it stands in. */
    readonly field?: string;
    /** Refuses so many prompts, before any is looked at. */
    checkCount(count: number): void;
  },
): Prompt[] {
  const list = listed(value, field);
  checkCount(list.length);
  const texts = list.filter((one) => typeof one === "string");
  const length = texts.reduce((sum, text) => sum + text.length, 0);
  checkTexts(length, { maxText, field });
  for (const text of texts) {
    checkLength(text.length, { tokenizer, context, maxText, field });
  }
  const prompts = list.map((one, at) => {
    const name = list === value ? `${field}[${at}]` : field;
    if (typeof one === "string") return ofText(one, tokenizer, { special });
    return { tokens: readTokens(one, tokenizer, name), added: 0 };
  });
  for (const { tokens } of prompts) {
    if (tokens.length === 0) {
      throw fieldError(
        "Cannot answer a prompt: it is empty, expected at least one token",
        field,
      );
    }
  }
  return prompts;
}

/** Reads a list of token ids, each of which the tokenizer must have. */
export function readTokens(value: unknown, tokenizer: ServedTokenizer, name: string): number[] {
  if (!Array.isArray(value)) {
    throw fieldError(
      `Cannot read "${name}": it is ${kindOf(value)}, expected a list of token ids`,
      name,
    );
  }
  for (const [at, id] of value.entries()) {
    if (Number.isInteger(id) && id >= 0 && id < tokenizer.size) continue;
    const found = typeof id === "number" ? String(id) : kindOf(id);
    throw fieldError(
      `Cannot read "${name}[${at}]": it is ${found}, expected a token id below ${tokenizer.size}`,
      `${name}[${at}]`,
    );
  }
  return value as number[];
}

/** A text as tokens, with what the model puts around texts where `special` is set. */
export function ofText(
  text: string,
  tokenizer: ServedTokenizer,
  { special }: { readonly special: boolean },
): Prompt {
  const tokens = tokenizer.encode(text, { special });
  // An empty text is asked for by its first token where the model has one.
  if (tokens.length === 0 && special && tokenizer.bos !== undefined) tokens.push(tokenizer.bos);
  return { tokens, text, added: countAdded(tokens, text, tokenizer) };
}

/**
 * Refuses a text that is far too long for a context: cutting it into tokens takes seconds a megabyte.
 *
 * Normalizing may make a text shorter, composing letters with their accents about by half.
 */
export function checkLength(
  length: number,
  { tokenizer, context, maxText, field }: {
    readonly tokenizer: ServedTokenizer;
    readonly context: number;
    readonly maxText: number;
    readonly field: string;
  },
): void {
  if (length > 2 * context * tokenizer.longest) {
    throw new ApiError(
      400,
      `Cannot answer a text of ${length} characters: the context is ${context} tokens`,
      { param: field, code: "context_length_exceeded" },
    );
  }
  checkTexts(length, { maxText, field });
}

/** Refuses more characters of texts than a request may have. */
export function checkTexts(
  length: number,
  { maxText, field }: { readonly maxText: number; readonly field: string },
): void {
  if (length <= maxText) return;
  throw new ApiError(
    400,
    `Cannot take texts of ${length} characters: this server takes at most ${maxText} at once`,
    { param: field, code: "text_too_long" },
  );
}

function countAdded(tokens: readonly number[], text: string, tokenizer: ServedTokenizer): number {
  const own = (id: number) => !tokenizer.special(id) || text.startsWith(textOf(tokenizer, id));
  const first = tokens.findIndex(own);
  return first < 0 ? tokens.length : first;
}

function listed(value: unknown, field: string): readonly unknown[] {
  if (typeof value === "string") return [value];
  if (!Array.isArray(value)) {
    throw fieldError(
      `Cannot read "${field}": it is ${kindOf(value)}, ` +
        "expected a text, a list of texts, a list of token ids, or a list of such lists",
      field,
    );
  }
  const lists = value.length > 0 &&
    value.every((one) => typeof one === "string" || Array.isArray(one));
  return lists ? value : [value];
}

function kindOf(value: unknown): string {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : `of type ${typeof value}`;
}
