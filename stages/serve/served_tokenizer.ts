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
}

/** A token as `tokenizer_config.json` has it. */
type NamedToken = string | { readonly content?: string } | null | undefined;

/** Tokens that `tokenizer_config.json` names and chat templates may want. */
export const NAMED_TOKENS = ["bos_token", "eos_token", "pad_token", "unk_token"] as const;

/**
 * Makes a tokenizer from a checkpoint's `tokenizer` and its small files by name, for a model whose
 * embedding table has so many rows.
 *
 * `generation_config.json` may name more tokens that end answers than the tokenizer does, and
 * `chat_template.jinja` comes before the template in `tokenizer_config.json`, as in transformers.
 */
export function openServedTokenizer(
  files: TokenizerFiles,
  texts: ReadonlyMap<string, string> = new Map(),
  rows = Infinity,
): ServedTokenizer {
  const tokenizer = openTokenizer(files);
  const config = (files.config ?? {}) as Readonly<Record<string, unknown>>;
  const chatTemplate = texts.get("chat_template.jinja") ?? templateOf(config["chat_template"]);
  const names = Object.fromEntries(
    NAMED_TOKENS.map((key) => [key, spelling(config[key] as NamedToken)]),
  );
  return {
    ...tokenizer,
    ...readTokenBytes(tokenizer, files),
    usable: Math.min(tokenizer.size, rows),
    ends: endsOf(tokenizer, texts.get("generation_config.json")),
    ...chatTemplate === undefined ? {} : { chatTemplate },
    longest: longestOf(tokenizer),
    info: { ...config, ...names, chat_template: chatTemplate ?? null },
  };
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

function endsOf(tokenizer: Tokenizer, generation: string | undefined): number[] {
  const { eos_token_id: said } = JSON.parse(generation ?? "{}") as { eos_token_id?: unknown };
  const all = [tokenizer.eos, ...Array.isArray(said) ? said : [said]];
  return [...new Set(all.filter((id) => typeof id === "number"))];
}

function longestOf(tokenizer: Tokenizer): number {
  let longest = 1;
  for (let id = 0; id < tokenizer.size; id++) {
    longest = Math.max(longest, tokenizer.token(id)?.length ?? 0);
  }
  return longest;
}
