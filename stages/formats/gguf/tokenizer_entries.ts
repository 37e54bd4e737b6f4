import type { AnswerEnd } from "../answer_ends.ts";
import type { TokenizerFiles } from "../checkpoint.ts";
import type { GgufEntries, GgufEntry } from "./encoding.ts";
import { namePreTokenizer } from "./pre_tokenizers.ts";
import {
  BYTE,
  CONTROL,
  NORMAL,
  type TokenizerJson,
  tokenizerJson,
  UNKNOWN,
  UNUSED,
  USER_DEFINED,
  WRITE,
} from "./tokenizer_json.ts";
import { specialTokens } from "./special_tokens.ts";
import { pieceScores, SPACE } from "./sentence_pieces.ts";

/** What the metadata of a tokenizer rests on beside its two files. */
export interface TokenizerPlace {
  /** Rows of the embedding: as many tokens as llama.cpp expects. */
  readonly rows: number;
  /** `config.json`, which may say the first and the last token. */
  readonly model: Readonly<Record<string, unknown>>;
  /** `chat_template.jinja`, which comes before the template in `tokenizer_config.json`. */
  readonly chatTemplate: string | undefined;
  /** All tokens with which the model ends an answer; none but the last token unless said. */
  readonly ends?: readonly AnswerEnd[];
}

/**
 * The metadata of a GGUF file that says a tokenizer: `gpt2` for BPE of bytes, `llama` for BPE of
 * SentencePiece; `none` where the model has no tokenizer.
 *
 * Throws a `TypeError` where llama.cpp would cut or merge text otherwise.
 */
export function tokenizerEntries(
  files: TokenizerFiles | undefined,
  place: TokenizerPlace,
): GgufEntries {
  if (!files) return { "tokenizer.ggml.model": { text: "none" } };
  const parsed = tokenizerJson.safeParse(files.tokenizer);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new TypeError(
      `${WRITE}: ${issue!.path.join(".")} of tokenizer.json is not as expected (${
        issue!.message.toLowerCase()
      }), expected a tokenizer of Hugging Face`,
    );
  }
  const { data: json } = parsed;
  const { type, continuing_subword_prefix: prefix, end_of_word_suffix: suffix } = json.model;
  if (type !== "BPE" || prefix || suffix) {
    throw new TypeError(
      `${WRITE}: its model is ${type}${
        type === "BPE" ? " with marks inside words" : ""
      }, expected BPE of bytes or of SentencePiece`,
    );
  }
  for (const { content, lstrip, rstrip, single_word } of json.added_tokens) {
    if (!lstrip && !rstrip && !single_word) continue;
    throw new TypeError(
      `${WRITE}: its token ${
        JSON.stringify(content)
      } takes spaces or words around it into account, expected tokens without lstrip, rstrip and single_word`,
    );
  }
  const vocabulary = vocabularyOf(json, place.rows);
  const own = json.model.byte_fallback
    ? sentencePieces(json, vocabulary)
    : byteLevel(json, vocabulary);
  const config = (files.config ?? {}) as Readonly<Record<string, unknown>>;
  return {
    ...own,
    ...specialTokens(json, vocabulary.ids, { config, model: place.model, ends: place.ends ?? [] }),
    ...chatTemplates(config, place.chatTemplate),
  };
}

/** Tokens by id, with their kinds. */
interface Vocabulary {
  readonly tokens: readonly string[];
  readonly kinds: readonly number[];
  readonly ids: ReadonlyMap<string, number>;
}

function vocabularyOf({ model, added_tokens: added }: TokenizerJson, rows: number): Vocabulary {
  const ids = new Map<string, number>();
  const tokens = new Array<string | undefined>(rows);
  const kinds = new Array<number>(rows).fill(NORMAL);
  const place = (token: string, id: unknown): number => {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= rows) {
      throw new RangeError(
        `${WRITE}: its token ${
          JSON.stringify(token)
        } has id ${id}, expected one below ${rows}, as many as the embedding has rows`,
      );
    }
    const at = id as number;
    const other = tokens[at] ?? token;
    if (other !== token || (ids.get(token) ?? at) !== at) {
      throw new TypeError(
        `${WRITE}: its token ${JSON.stringify(token)} shares id ${at} with ${
          JSON.stringify(other)
        } or has two, expected one id a token`,
      );
    }
    ids.set(token, at);
    tokens[at] = token;
    return at;
  };
  for (const [token, id] of Object.entries((model.vocab ?? {}) as object)) place(token, id);
  for (const { id, content, special } of added) {
    const at = place(content, id);
    const unknown = model.byte_fallback && content === model.unk_token;
    kinds[at] = unknown ? UNKNOWN : special ? CONTROL : USER_DEFINED;
  }
  const all = Array.from(tokens, (token, id) => {
    if (token !== undefined) return token;
    kinds[id] = UNUSED;
    return `[PAD${id}]`;
  });
  return { tokens: all, kinds, ids };
}

function byteLevel(json: TokenizerJson, { tokens, kinds }: Vocabulary): Record<string, GgufEntry> {
  const { normalizer, pre_tokenizer: preTokenizer, model } = json;
  const composed = normalizer?.type === "NFC";
  if (normalizer && !composed && !isEmpty(normalizer)) {
    throw new TypeError(`${WRITE}: it changes text by ${normalizer.type}, expected none or NFC`);
  }
  const ignoreMerges = model.ignore_merges ?? false;
  const pre = namePreTokenizer({ preTokenizer, composed, ignoreMerges });
  const merges = model.merges.map((merge) => {
    const pair = typeof merge === "string" ? merge.split(" ") : merge;
    if (pair.length === 2 && !pair.some((part) => part === "" || part.includes(" "))) {
      return pair.join(" ");
    }
    throw new TypeError(
      `${WRITE}: its merge ${JSON.stringify(merge)} has a space within, expected pairs without`,
    );
  });
  return {
    "tokenizer.ggml.model": { text: "gpt2" },
    "tokenizer.ggml.pre": { text: pre },
    "tokenizer.ggml.tokens": { texts: tokens },
    "tokenizer.ggml.token_type": { i32s: kinds },
    "tokenizer.ggml.merges": { texts: merges },
  };
}

function sentencePieces(
  json: TokenizerJson,
  { tokens, kinds: all, ids }: Vocabulary,
): Record<string, GgufEntry> {
  const prefixed = spacePrefix(json);
  const kinds = all.map((kind, id) =>
    kind === NORMAL && /^<0x[0-9A-F]{2}>$/.test(tokens[id]!) ? BYTE : kind
  );
  // Merges with special tokens never apply: those are met before text is cut.
  const isNormal = (token: string) => kinds[ids.get(token) ?? -1] === NORMAL;
  const merges = json.model.merges
    .map((merge) => typeof merge === "string" ? merge.split(" ") as [string, string] : merge)
    .filter(([left, right]) => [left, right, left + right].every(isNormal));
  const scores = pieceScores(merges, { tokens, kinds, ids });
  return {
    "tokenizer.ggml.model": { text: "llama" },
    "tokenizer.ggml.pre": { text: "default" },
    "tokenizer.ggml.tokens": {
      // Spaces of tokens that users add are met before they are replaced.
      texts: tokens.map((token, id) =>
        kinds[id] === USER_DEFINED ? token.replaceAll(SPACE, " ") : token
      ),
    },
    "tokenizer.ggml.scores": { f32s: scores },
    "tokenizer.ggml.token_type": { i32s: kinds },
    "tokenizer.ggml.add_space_prefix": { bool: prefixed },
  };
}

const REPLACE = { type: "Replace", pattern: { String: " " }, content: SPACE } as const;

/** Whether a space is put before texts; throws where text changes otherwise than by marking spaces. */
function spacePrefix({ normalizer, pre_tokenizer: cut }: TokenizerJson): boolean {
  const steps = normalizer?.type === "Sequence"
    ? [normalizer.normalizers].flat() as readonly (Readonly<Record<string, unknown>> | undefined)[]
    : normalizer
    ? [normalizer]
    : [];
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  const [first, ...rest] = steps;
  if (!cut && first && same({ ...REPLACE, ...first }, { ...REPLACE }) && rest.length === 0) {
    return false;
  }
  if (
    !cut && first?.type === "Prepend" && first.prepend === SPACE && rest.length === 1 &&
    same({ ...REPLACE, ...rest[0] }, REPLACE)
  ) return true;
  if (!first && cut?.type === "Metaspace" && cut.replacement === SPACE && cut.split === false) {
    const scheme = cut.prepend_scheme ?? (cut.add_prefix_space === false ? "never" : "always");
    return scheme !== "never";
  }
  throw new TypeError(
    `${WRITE}: it changes text by ${
      [...steps.map((step) => step?.type), ...cut ? [cut.type] : []].join(", ") || "nothing"
    }, expected spaces marked by ${SPACE} as SentencePiece marks them`,
  );
}

/**
 * Whether llama.cpp puts a space before texts that begin with one, where the tokenizer does not: a
 * `Metaspace` adds none there, and GGUF has no word for that.
 */
export function addsSpaces(files: TokenizerFiles | undefined): boolean {
  const cut = (files?.tokenizer as Partial<TokenizerJson> | undefined)?.pre_tokenizer;
  return cut?.type === "Metaspace" && cut.prepend_scheme !== "never" &&
    cut.add_prefix_space !== false;
}

function chatTemplates(
  { chat_template: own }: Readonly<Record<string, unknown>>,
  file: string | undefined,
): Record<string, GgufEntry> {
  const named = Array.isArray(own)
    ? own.filter((each): each is { readonly name: string; readonly template: string } =>
      typeof each?.name === "string" && typeof each.template === "string"
    )
    : [];
  const chat = file ??
    (typeof own === "string" ? own : named.find(({ name }) => name === "default")?.template);
  const others = named.filter(({ name }) => name !== "default");
  return {
    ...chat !== undefined && { "tokenizer.chat_template": { text: chat } },
    ...others.length > 0 && {
      "tokenizer.chat_templates": { texts: others.map(({ name }) => name) },
    },
    ...Object.fromEntries(
      others.map(({ name, template }) => [`tokenizer.chat_template.${name}`, { text: template }]),
    ),
  };
}

function isEmpty(normalizer: NonNullable<TokenizerJson["normalizer"]>): boolean {
  return normalizer.type === "Sequence" &&
    String(normalizer.normalizers) === "";
}
