import type { Checkpoint } from "./checkpoint.ts";

/** A token with which a model ends an answer. */
export interface AnswerEnd {
  readonly id: number;
  /** As the vocabulary spells it; undefined where it has no such id. */
  readonly token: string | undefined;
  /** What says so, such as `generation_config.json`. */
  readonly sources: readonly string[];
}

/** What says where answers end. */
export type EndTexts = Pick<Checkpoint, "config" | "tokenizer" | "files">;

/** Names of tokens that end a turn, as chat templates have them. */
export const TURN_ENDS: readonly string[] = [
  "<|eot_id|>",
  "<|im_end|>",
  "<|end|>",
  "<end_of_turn>",
  "<turn|>",
  "<end_of_utterance>",
  "<EOT>",
  "_<EOT>",
  "[EOT]",
];

/** Names of all tokens at which llama.cpp ends an answer, whatever else a file says. */
const END_NAMES: readonly string[] = [
  ...TURN_ENDS,
  "<|return|>",
  "<|call|>",
  "<|flush|>",
  "<|calls|>",
  "<|endoftext|>",
  "</s>",
  "<|eom_id|>",
  "[EOS]",
  "<|end_of_text|>",
  "<eos>",
  "<|tool_response>",
];

/**
 * Those of a vocabulary's tokens whose names end an answer in llama.cpp (`llama_vocab::impl::load` of
 * src/llama-vocab.cpp), with its two exceptions: `<|end|>` only ends a part of an answer where calls
 * and `<|return|>` or `<|flush|>` are there, and `</s>` ends none beside `<|tool_response>`.
 */
export function namedEnds(there: (token: string) => boolean): string[] {
  const found = END_NAMES.filter(there);
  const any = (...names: readonly string[]) => names.some((name) => found.includes(name));
  const parts = any("<|call|>", "<|calls|>") && any("<|return|>", "<|flush|>");
  return found.filter((name) =>
    !(name === "<|end|>" && parts) && !(name === "</s>" && any("<|tool_response>"))
  );
}

/** Keys under which tokenizers name such a token. */
const NAMED = ["eos_token", "eot_token", "eom_token"] as const;

/** The file that says how a model generates. */
export const GENERATION = "generation_config.json";
const SPECIAL = "special_tokens_map.json";
const ADDED = "added_tokens.json";

/** The small files that say where answers end. */
export const END_FILES: readonly string[] = [GENERATION, SPECIAL, ADDED];

type Json = Readonly<Record<string, unknown>>;

/**
 * All tokens with which a model ends an answer: what `tokenizer_config.json`,
 * `generation_config.json`, `config.json` and `special_tokens_map.json` say, and special tokens that
 * were added under a name that means it.
 */
export function answerEnds({ config, tokenizer, files }: EndTexts): AnswerEnd[] {
  const vocabulary = vocabularyOf(tokenizer?.tokenizer);
  const found = new Map<number, string[]>();
  const add = (id: unknown, source: string) => {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0) return;
    const sources = found.get(id) ?? [];
    if (!sources.includes(source)) found.set(id, [...sources, source]);
  };
  const addNamed = (json: Json, source: string) => {
    for (const key of NAMED) {
      const value = json[key];
      const token = typeof value === "string" ? value : (value as Json | null | undefined)?.content;
      if (typeof token === "string") add(vocabulary.id(token), source);
    }
  };
  const addIds = (json: Json, source: string) => {
    for (const id of [json.eos_token_id].flat()) add(id, source);
  };
  addNamed(objectOf(tokenizer?.config), "tokenizer_config.json");
  addIds(fileOf(files, GENERATION), GENERATION);
  addIds(objectOf(config), "config.json");
  addIds(objectOf(objectOf(config).text_config), "config.json");
  addNamed(fileOf(files, SPECIAL), SPECIAL);
  const added = addedTokens({ tokenizer, files });
  for (const name of namedEnds((name) => added.has(name))) add(added.get(name), "added tokens");
  return [...found].map(([id, sources]) => ({ id, token: vocabulary.token(id), sources }));
}

/** The same texts where `config.json` and, if it is there, `generation_config.json` say all ends. */
export function statingEnds(texts: EndTexts): EndTexts {
  const ends = answerEnds(texts).map(({ id }) => id);
  const stated = (json: Json): Json => {
    const said = new Set([json.eos_token_id].flat());
    if (said.size === ends.length && ends.every((id) => said.has(id))) return json;
    return { ...json, eos_token_id: ends.length === 1 ? ends[0] : ends };
  };
  if (ends.length === 0) return texts;
  const files = new Map(texts.files);
  const generation = fileOf(files, GENERATION);
  if (files.has(GENERATION) && stated(generation) !== generation) {
    files.set(GENERATION, JSON.stringify(stated(generation), undefined, 2));
  }
  return { ...texts, config: stated(objectOf(texts.config)), files };
}

/** Special tokens beside the vocabulary proper, by name. */
function addedTokens(
  { tokenizer, files }: Pick<EndTexts, "tokenizer" | "files">,
): ReadonlyMap<string, unknown> {
  const { added_tokens: listed } = objectOf(tokenizer?.tokenizer);
  const decoder = objectOf(objectOf(tokenizer?.config).added_tokens_decoder);
  return new Map<string, unknown>([
    ...Object.entries(fileOf(files, ADDED)),
    ...Object.entries(decoder).flatMap(([id, token]) => special({ ...objectOf(token), id })),
    ...(Array.isArray(listed) ? listed : []).flatMap((token) => special(objectOf(token))),
  ]);
}

function special({ special, content, id }: Json): (readonly [string, number])[] {
  return special === true && typeof content === "string" ? [[content, Number(id)]] : [];
}

/** Ids and spellings of a `tokenizer.json`. */
function vocabularyOf(tokenizer: unknown): {
  id(token: string): unknown;
  token(id: number): string | undefined;
} {
  const { added_tokens: listed, model } = objectOf(tokenizer);
  const added = (Array.isArray(listed) ? listed : []).map(objectOf);
  const { vocab } = objectOf(model);
  const pieces = Array.isArray(vocab) ? vocab.map((piece) => String(piece?.[0])) : undefined;
  const ids = pieces ? undefined : objectOf(vocab);
  return {
    id: (token) =>
      added.find(({ content }) => content === token)?.id ??
        (pieces ? pieces.indexOf(token) : ids?.[token]),
    token(id) {
      const own = added.find((token) => token.id === id)?.content;
      if (typeof own === "string") return own;
      return pieces ? pieces[id] : Object.keys(ids ?? {}).find((token) => ids![token] === id);
    },
  };
}

function fileOf(files: EndTexts["files"], name: string): Json {
  const text = files.get(name);
  if (text === undefined) return {};
  try {
    return objectOf(JSON.parse(text));
  } catch (cause) {
    throw new SyntaxError(`Cannot read ${name}: ${(cause as Error).message}, expected JSON`, {
      cause,
    });
  }
}

function objectOf(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value as Json : {};
}
