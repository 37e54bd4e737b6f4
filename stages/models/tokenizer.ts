import type { TokenizerFiles } from "../formats/checkpoint.ts";
import { addedTokenFinder, readAddedTokens } from "../tokenizer/added_tokens.ts";
import { makeDecoder } from "../tokenizer/decoders.ts";
import { makeModel } from "../tokenizer/model_kinds.ts";
import { makeNormalizer } from "../tokenizer/normalizers.ts";
import { makePostProcessor } from "../tokenizer/post_processor.ts";
import { makePreTokenizer } from "../tokenizer/pre_tokenizers.ts";

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

/**
 * Makes a tokenizer from the contents of its two files: `tokenizer.json` as the Rust library
 * `tokenizers` reads it, to the id. Truncation and padding that it may ask for are left out, as in
 * transformers.
 *
 * Throws where the file has something that would not be read exactly so, and says what.
 */
export function openTokenizer({ tokenizer, config }: TokenizerFiles): Tokenizer {
  for (const [name, file] of [["", tokenizer], ["_config", config ?? {}]] as const) {
    if (typeof file === "object" && file !== null && !Array.isArray(file)) continue;
    throw new TypeError(
      `Cannot use the tokenizer: tokenizer${name}.json is no object, expected one`,
    );
  }
  const json = tokenizer as Readonly<Record<string, unknown>>;
  checkParts(json);
  const model = makeModel(json.model);
  const normalize = makeNormalizer(json.normalizer);
  const cut = makePreTokenizer(json.pre_tokenizer);
  const frame = makePostProcessor(json.post_processor);
  const decoded = makeDecoder(json.decoder);
  const added = readAddedTokens(json.added_tokens, model.vocabulary, normalize);
  const find = addedTokenFinder(added, normalize);

  const ids = new Map(model.vocabulary);
  const tokens: string[] = [];
  for (const [token, id] of model.vocabulary) tokens[id] = token;
  for (const { content, spelt, id } of added) {
    ids.set(content, id);
    tokens[id] = spelt;
  }
  const special = (key: string): number | undefined => {
    const value = (config as Record<string, unknown> | null)?.[key];
    const token = typeof value === "string"
      ? value
      : (value as { content?: string } | null)?.content;
    return token === undefined ? undefined : ids.get(token);
  };
  return {
    size: tokens.length,
    ...given("bos", special("bos_token")),
    ...given("eos", special("eos_token")),
    encode(text, { special = false } = {}) {
      const found: number[] = [];
      for (const part of find(text.toWellFormed())) {
        if (typeof part === "number") found.push(part);
        else for (const { text } of cut(part)) for (const id of model.encode(text)) found.push(id);
      }
      return special ? [...frame(found)] : found;
    },
    decode: (ids) => ids.length === 0 ? "" : decoded(ids.flatMap((id) => tokens[id] ?? [])),
    token: (id) => tokens[id],
    id: (token) => ids.get(token),
  };
}

/** What a `tokenizer.json` of version 1.0 has. */
const PARTS = [
  ...["version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer"],
  ...["post_processor", "decoder", "model"],
];

/** Throws for parts that the Rust library does not know: a misspelt one would be left out without a word. */
function checkParts(json: Readonly<Record<string, unknown>>): void {
  const odd = Object.keys(json).find((name) => !PARTS.includes(name));
  if (odd !== undefined) {
    throw new TypeError(
      `Cannot use the tokenizer: tokenizer.json has ${JSON.stringify(odd)}, expected ${
        PARTS.join(", ")
      } alone`,
    );
  }
  const { version = "1.0" } = json;
  if (version !== "1.0") {
    throw new TypeError(
      `Cannot use the tokenizer: tokenizer.json is of version ${
        JSON.stringify(version)
      }, expected "1.0"`,
    );
  }
}

function given<K extends string>(key: K, value: number | undefined): { [key in K]?: number } {
  return (value === undefined ? {} : { [key]: value }) as { [key in K]?: number };
}
