import { answerEnds } from "../formats/answer_ends.ts";
import type { TokenizerFiles } from "../formats/checkpoint.ts";
import { openTokenizer, type Tokenizer } from "../models/tokenizer.ts";
import { readTokenBytes, type TokenBytes } from "./token_bytes.ts";

/** A tokenizer with what answering needs besides: bytes of tokens, ends of answers, chat template. */
export interface ServedTokenizer extends Tokenizer, TokenBytes {
  /** Ids below this have a row in the model, and stand for tokens. */
  readonly usable: number;
  /** Tokens with which the model ends an answer. */
  readonly ends: readonly number[];
  /** How a conversation is laid out as text (Jinja), where the model says it. */
  readonly chatTemplate?: string;
  /** Characters of the longest token as the vocabulary spells it. */
  readonly longest: number;
  /** `tokenizer_config.json`, the special tokens as strings. */
  readonly info: Readonly<Record<string, unknown>>;
  /** What it was made of, so that other threads can make the same. */
  readonly source: {
    readonly files: TokenizerFiles;
    readonly texts: ReadonlyMap<string, string>;
    readonly model: unknown;
    readonly rows: number;
  };
}

/** A token as `tokenizer_config.json` has it. */
type NamedToken = string | { readonly content?: string } | null | undefined;

/** Tokens that `tokenizer_config.json` names and chat templates may want. */
const NAMED_TOKENS = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"].map((name) =>
  `${name}_token`
);

/** The file of a chat template. */
const TEMPLATE = "chat_template.jinja";

/** Those of the named tokens that there are, as texts: of others a template knows nothing. */
export function namedTokens(config: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    NAMED_TOKENS.flatMap((key) => {
      const token = spelling(config[key] as NamedToken);
      return token === null ? [] : [[key, token]];
    }),
  );
}

/**
 * Makes a tokenizer from a checkpoint's `tokenizer`, its small files by name and its `config.json`, for
 * a model whose embedding table has so many rows.
 *
 * `chat_template.jinja` comes before the template in `tokenizer_config.json`, as in transformers.
 */
export function openServedTokenizer(
  files: TokenizerFiles,
  texts: ReadonlyMap<string, string> = new Map(),
  model: unknown = {},
  rows = Infinity,
): ServedTokenizer {
  const tokenizer = openTokenizer(files);
  const config = (files.config ?? {}) as Readonly<Record<string, unknown>>;
  const chatTemplate = texts.get(TEMPLATE) ?? templateOf(config["chat_template"]);
  return {
    ...tokenizer,
    ...readTokenBytes(tokenizer, files),
    usable: Math.min(tokenizer.size, rows),
    ends: answerEnds({ config: model, tokenizer: files, files: texts }).map(({ id }) => id),
    ...chatTemplate === undefined ? {} : { chatTemplate },
    longest: longestOf(tokenizer),
    info: { ...config, ...namedTokens(config), chat_template: chatTemplate ?? null },
    source: { files, texts, model, rows },
  };
}

/** Small files of a checkpoint with another chat template, where one is said. */
export function withTemplate(
  texts: ReadonlyMap<string, string>,
  chatTemplate: string | undefined,
): ReadonlyMap<string, string> {
  return chatTemplate === undefined ? texts : new Map([...texts, [TEMPLATE, chatTemplate]]);
}

function templateOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const named = value as readonly { readonly name?: string; readonly template?: string }[];
  return (named.find(({ name }) => name === "default") ?? named[0])?.template;
}

function spelling(token: NamedToken): string | null {
  return (typeof token === "string" ? token : token?.content) ?? null;
}

function longestOf(tokenizer: Tokenizer): number {
  let longest = 1;
  for (let id = 0; id < tokenizer.size; id++) {
    longest = Math.max(longest, tokenizer.token(id)?.length ?? 0);
  }
  return longest;
}
