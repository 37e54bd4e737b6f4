import type { TokenizerFiles } from "../checkpoint.ts";
import type { GgufMetadata } from "./metadata.ts";
import { findPreTokenizer, UNNAMED } from "./pre_tokenizers.ts";
import { mergesByScore, SPACE } from "./sentence_pieces.ts";
import { CONTROL, NORMAL, UNKNOWN, USER_DEFINED } from "./tokenizer_json.ts";

/** What both kinds of tokenizer share. */
interface Vocabulary {
  readonly tokens: readonly string[];
  readonly kinds: readonly number[];
}

/**
 * `tokenizer.json` and `tokenizer_config.json` rebuilt from the metadata of a GGUF file.
 *
 * Knows byte-level BPE (`gpt2`) and SentencePiece BPE (`llama`); `undefined` where a file has no
 * tokenizer.
 */
export function ggufTokenizer(metadata: GgufMetadata): TokenizerFiles | undefined {
  const model = metadata.text("tokenizer.ggml.model");
  if (model === undefined || model === "none") return undefined;
  if (model !== "gpt2" && model !== "llama") {
    throw new TypeError(
      `Cannot rebuild the tokenizer of "${metadata.path}": its tokenizer.ggml.model is ` +
        `"${model}", expected gpt2 or llama`,
    );
  }
  const tokens = required(metadata, "tokenizer.ggml.tokens", metadata.texts);
  const kinds = metadata.numbers("tokenizer.ggml.token_type") ?? tokens.map(() => NORMAL);
  checkLength(metadata, { key: "tokenizer.ggml.token_type", length: kinds.length }, tokens);
  const vocabulary = { tokens, kinds };
  return model === "gpt2" ? byteLevel(metadata, vocabulary) : sentencePiece(metadata, vocabulary);
}

const PRE = "tokenizer.ggml.pre";

/** What is read of a tokenizer otherwise than the file says, a sentence each. */
export function ggufTokenizerNotes(metadata: GgufMetadata): string[] {
  if (metadata.text("tokenizer.ggml.model") !== "gpt2" || metadata.has(PRE)) return [];
  return [
    `The file has no ${PRE}, so that text is cut as llama.cpp does then ("${UNNAMED}"); tokens are ` +
    "others than the model's if it was trained with other cuts: convert it anew",
  ];
}

function byteLevel(metadata: GgufMetadata, vocabulary: Vocabulary): TokenizerFiles {
  const name = metadata.text(PRE) ?? UNNAMED;
  const { preTokenizer, composed, ignoreMerges, bos } = findPreTokenizer(name, metadata.path);
  const merges = required(metadata, "tokenizer.ggml.merges", metadata.texts);
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    tokenizer: {
      ...frame(vocabulary),
      normalizer: composed ? { type: "NFC" } : null,
      pre_tokenizer: preTokenizer,
      post_processor: template(metadata, vocabulary, { bos }) ?? bytes,
      decoder: bytes,
      model: {
        ...bpe(vocabulary),
        ignore_merges: ignoreMerges,
        merges: merges.map((merge) => {
          const at = merge.indexOf(" ", 1);
          return [merge.slice(0, at), merge.slice(at + 1)];
        }),
      },
    },
    config: tokenizerConfig(metadata, vocabulary, { bos }),
  };
}

function sentencePiece(metadata: GgufMetadata, vocabulary: Vocabulary): TokenizerFiles {
  const scores = required(metadata, "tokenizer.ggml.scores", metadata.numbers);
  checkLength(metadata, { key: "tokenizer.ggml.scores", length: scores.length }, vocabulary.tokens);
  const prefixed = metadata.boolean("tokenizer.ggml.add_space_prefix") ?? true;
  return {
    tokenizer: {
      ...frame(vocabulary),
      normalizer: {
        type: "Sequence",
        normalizers: [
          ...(prefixed ? [{ type: "Prepend", prepend: SPACE }] : []),
          { type: "Replace", pattern: { String: " " }, content: SPACE },
        ],
      },
      pre_tokenizer: null,
      post_processor: template(metadata, vocabulary, { bos: true }) ?? null,
      decoder: {
        type: "Sequence",
        decoders: [
          { type: "Replace", pattern: { String: SPACE }, content: " " },
          { type: "ByteFallback" },
          { type: "Fuse" },
          ...(prefixed ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
        ],
      },
      model: {
        ...bpe(vocabulary),
        unk_token: vocabulary.tokens[unknownId(metadata, vocabulary)] ?? null,
        fuse_unk: true,
        byte_fallback: true,
        merges: mergesByScore(vocabulary, scores),
      },
    },
    config: tokenizerConfig(metadata, vocabulary, { bos: true }),
  };
}

function frame({ tokens, kinds }: Vocabulary): Record<string, unknown> {
  const added = tokens.flatMap((content, id) => {
    const kind = kinds[id];
    if (kind !== CONTROL && kind !== USER_DEFINED && kind !== UNKNOWN) return [];
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    return [{ id, content, ...flags, special: kind !== USER_DEFINED }];
  });
  return { version: "1.0", truncation: null, padding: null, added_tokens: added };
}

function bpe({ tokens }: Vocabulary): Record<string, unknown> {
  return {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
  };
}

function template(
  metadata: GgufMetadata,
  { tokens }: Vocabulary,
  { bos }: { readonly bos: boolean },
): unknown {
  const special = (key: "bos" | "eos", otherwise: boolean) => {
    const id = metadata.number(`tokenizer.ggml.${key}_token_id`);
    const wanted = metadata.boolean(`tokenizer.ggml.add_${key}_token`) ?? otherwise;
    return wanted && id !== undefined && tokens[id] !== undefined
      ? [{ id, token: tokens[id] }]
      : [];
  };
  const first = special("bos", bos);
  const last = special("eos", false);
  if (first.length + last.length === 0) return undefined;
  const sequence = (id: "A" | "B", type: number) => [
    ...first.map(({ token }) => ({ SpecialToken: { id: token, type_id: type } })),
    { Sequence: { id, type_id: type } },
    ...last.map(({ token }) => ({ SpecialToken: { id: token, type_id: type } })),
  ];
  return {
    type: "TemplateProcessing",
    single: sequence("A", 0),
    pair: [...sequence("A", 0), ...sequence("B", 1)],
    special_tokens: Object.fromEntries(
      [...first, ...last].map((
        { id, token },
      ) => [token, { id: token, ids: [id], tokens: [token] }]),
    ),
  };
}

function tokenizerConfig(
  metadata: GgufMetadata,
  { tokens }: Vocabulary,
  { bos }: { readonly bos: boolean },
): Record<string, unknown> {
  const token = (key: string, name: string) => {
    const id = metadata.number(`tokenizer.ggml.${name}_token_id`);
    return id === undefined || tokens[id] === undefined ? {} : { [key]: tokens[id] };
  };
  const chat = metadata.text("tokenizer.chat_template");
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    add_bos_token: metadata.boolean("tokenizer.ggml.add_bos_token") ?? bos,
    add_eos_token: metadata.boolean("tokenizer.ggml.add_eos_token") ?? false,
    clean_up_tokenization_spaces: false,
    ...token("bos_token", "bos"),
    ...token("eos_token", "eos"),
    ...token("unk_token", "unknown"),
    ...token("pad_token", "padding"),
    ...(chat === undefined ? {} : { chat_template: chat }),
  };
}

function unknownId(metadata: GgufMetadata, { kinds }: Vocabulary): number {
  return metadata.number("tokenizer.ggml.unknown_token_id") ?? kinds.indexOf(UNKNOWN);
}

function required<T>(metadata: GgufMetadata, key: string, read: (key: string) => T | undefined): T {
  const value = read(key);
  if (value !== undefined) return value;
  throw new TypeError(
    `Cannot rebuild the tokenizer of "${metadata.path}": no ${key}, expected it beside ` +
      `tokenizer.ggml.model`,
  );
}

function checkLength(
  metadata: GgufMetadata,
  { key, length }: { readonly key: string; readonly length: number },
  tokens: readonly string[],
): void {
  if (length === tokens.length) return;
  throw new RangeError(
    `Cannot rebuild the tokenizer of "${metadata.path}": ${key} has ${length} entries, expected ` +
      `${tokens.length} as there are tokens`,
  );
}
