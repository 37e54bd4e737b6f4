import { strict as assert } from "node:assert";
import type { TokenizerFiles } from "../../../../stages/formats/checkpoint.ts";
import type { GgufEntries } from "../../../../stages/formats/gguf/encoding.ts";
import type { GgufValue } from "../../../../stages/formats/gguf/header.ts";
import { ggufMetadata } from "../../../../stages/formats/gguf/metadata.ts";
import { ggufTokenizer } from "../../../../stages/formats/gguf/tokenizer.ts";
import { addsSpaces, tokenizerEntries } from "../../../../stages/formats/gguf/tokenizer_entries.ts";
import { openTokenizer } from "../../../../stages/models/tokenizer.ts";
import { SENTENCE_PIECES } from "../../../support/sentence_pieces.ts";
import golden from "../../../../configs/embedded/golden.json" with { type: "json" };
import embedded from "../../../../configs/embedded/tokenizer.json" with { type: "json" };
import embeddedConfig from "../../../../configs/embedded/tokenizer_config.json" with {
  type: "json",
};
import sentencepiece from "../../../testdata/sentencepiece_tokens.json" with { type: "json" };
import smollm from "../../../testdata/smollm_tokens.json" with { type: "json" };

/** What a `tokenizer.json` of Llama 3 says around its vocabulary. */
const LLAMA3 = {
  pattern: "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|" +
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  bytes: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
};

Deno.test("the embedded tokenizer gives the same ids from a GGUF file", () => {
  const files = { tokenizer: embedded, config: embeddedConfig };
  const [before, after] = [openTokenizer(files), openTokenizer(again(files, 1024))];
  const texts = [golden.text, "3 cats' toys,\n\n  isn't\tit? é日本 <|endoftext|>", ""];
  for (const text of texts) assert.deepEqual(after.encode(text), before.encode(text), text);
  assert.deepEqual(after.encode(golden.text), golden.ids);
  assert.deepEqual(after.encode("a", { special: true }), before.encode("a", { special: true }));
  assert.equal(after.eos, before.eos);
});

Deno.test("SmolLM2's tokenizer comes back from a GGUF file as it was", () => {
  const tokens = Array.from({ length: smollm.size }, (_, id) => `<left out ${id}>`);
  const kinds = tokens.map(() => 1);
  for (const [id, [token, kind]] of Object.entries(smollm.tokens)) {
    tokens[Number(id)] = String(token);
    kinds[Number(id)] = Number(kind);
  }
  const metadata = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.token_type": kinds,
    "tokenizer.ggml.merges": smollm.merges,
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.ggml.padding_token_id": 2,
    "tokenizer.ggml.add_bos_token": false,
    "tokenizer.ggml.add_eos_token": false,
    "tokenizer.chat_template": "{{ messages }}",
  };
  const written = valuesOf(entriesOf(read(metadata), smollm.size));
  assert.deepEqual(Object.fromEntries(written), metadata);
});

Deno.test("a SentencePiece tokenizer gives its ids again from a GGUF file", () => {
  const files = sentencePiece();
  const after = openTokenizer(again(files, sentencepiece.tokens.length));
  for (const { text, ids } of sentencepiece.cases) {
    assert.deepEqual(after.encode(text), ids, JSON.stringify(text));
  }
  const entries = valuesOf(entriesOf(files, sentencepiece.tokens.length));
  assert.deepEqual(entries.get("tokenizer.ggml.token_type"), sentencepiece.kinds);
  assert.equal(entries.get("tokenizer.ggml.add_space_prefix"), true);
  assert.equal(entries.get("tokenizer.ggml.add_bos_token"), true);
});

Deno.test("pieces whose merges lie between each other's get one score, as runs of spaces have", () => {
  const runs = [2, 3, 4, 8].map((count) => "▁".repeat(count));
  const tokens = [...sentencepiece.tokens, ...runs];
  const files = read({
    ...SENTENCE_PIECES,
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.scores": [...sentencepiece.scores, ...runs.map(() => -1e9)],
    "tokenizer.ggml.token_type": [...sentencepiece.kinds, ...runs.map(() => 1)],
  });
  const entries = valuesOf(entriesOf(files, tokens.length));
  const scores = entries.get("tokenizer.ggml.scores") as number[];
  // 1 + 1; then 1 + 2, 1 + 3, 2 + 1, 2 + 2, 3 + 1, which make 3 and 4 by turns; then 4 + 4.
  const [two, three, four, eight] = scores.slice(sentencepiece.tokens.length);
  assert.ok(two! > three! && three === four && four! > eight!, `${[two, three, four, eight]}`);
  const better = scores.filter((score) => score > two!);
  // Every other piece that something makes comes before them, and none shares its score.
  assert.equal(new Set(better).size, better.length);
  assert.ok(better.length > 100, `${better.length}`);
});

Deno.test("spaces marked before words are said alike, however `tokenizer.json` says them", () => {
  const metaspace = (more: object) => ({
    normalizer: null,
    pre_tokenizer: { type: "Metaspace", replacement: "▁", split: false, ...more },
  });
  const prefix = (changes: object) =>
    valuesOf(entriesOf(changed(sentencePiece(), changes), sentencepiece.tokens.length))
      .get("tokenizer.ggml.add_space_prefix");
  const replace = { type: "Replace", pattern: { String: " " }, content: "▁" };
  assert.equal(prefix(metaspace({ prepend_scheme: "always" })), true);
  assert.equal(prefix(metaspace({ prepend_scheme: "never" })), false);
  assert.equal(prefix({ normalizer: replace }), false);
  assert.equal(prefix({ normalizer: { type: "Sequence", normalizers: [replace] } }), false);
  assert.throws(() => prefix({ normalizer: { type: "NFKC" } }), /changes text by NFKC, expected/);
  assert.throws(() => prefix(metaspace({ split: true })), /changes text by Metaspace, expected/);
  // Only a Metaspace leaves texts alone that begin with a space already; llama.cpp never does.
  const adds = (changes: object) => addsSpaces(changed(sentencePiece(), changes));
  assert.equal(adds(metaspace({ prepend_scheme: "first" })), true);
  assert.equal(adds(metaspace({})), true);
  assert.equal(adds(metaspace({ prepend_scheme: "never" })), false);
  assert.equal(adds({}), false);
  assert.equal(addsSpaces(undefined), false);
});

Deno.test("Llama 3's way of cutting text gets its name, its first token and its chat template", () => {
  const files = tiny({
    post_processor: {
      type: "Sequence",
      processors: [LLAMA3.bytes, {
        type: "TemplateProcessing",
        single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, {
          Sequence: { id: "A", type_id: 0 },
        }],
      }],
    },
    config: {
      eos_token: { content: "</s>" },
      chat_template: [
        { name: "default", template: "plain" },
        { name: "tools", template: "with tools" },
      ],
    },
  });
  const entries = valuesOf(entriesOf(files, 300));
  const said = (key: string) => entries.get(`tokenizer.${key}`);
  assert.equal(said("ggml.pre"), "llama-bpe");
  assert.equal(said("ggml.bos_token_id"), 256);
  assert.equal(said("ggml.eos_token_id"), 257);
  assert.equal(said("ggml.add_bos_token"), true);
  assert.equal(said("chat_template"), "plain");
  assert.equal(said("chat_template.tools"), "with tools");
  assert.deepEqual(said("chat_templates"), ["tools"]);
  const tokens = said("ggml.tokens") as string[];
  const kinds = said("ggml.token_type") as number[];
  assert.deepEqual(tokens.slice(255, 261), [
    tokens[255],
    "<s>",
    "</s>",
    "<tool>",
    "[PAD259]",
    "[PAD260]",
  ]);
  assert.deepEqual(kinds.slice(255, 261), [1, 3, 3, 4, 5, 5]);
  assert.equal(tokens.length, 300);
  const file = tokenizerEntries(files, { rows: 300, model: {}, chatTemplate: "from a file" });
  assert.deepEqual(file["tokenizer.chat_template"], { text: "from a file" });
});

Deno.test("the first and the last token come from config.json where the tokenizer does not say them", () => {
  const model = { bos_token_id: 256, eos_token_id: [257, 258] };
  const entries = tokenizerEntries(tiny({}), { rows: 300, model, chatTemplate: undefined });
  assert.deepEqual(entries["tokenizer.ggml.bos_token_id"], { u32: 256 });
  assert.deepEqual(entries["tokenizer.ggml.eos_token_id"], { u32: 257 });
});

Deno.test("a model without a tokenizer says so", () => {
  assert.deepEqual(entriesOf(undefined, 8), { "tokenizer.ggml.model": { text: "none" } });
});

const QWEN2 = LLAMA3.pattern.replace("{1,3}", "");
const REFUSED: readonly (readonly [string, () => TokenizerFiles, RegExp])[] = [
  [
    "cuts that have no name, and says the nearest",
    () => tiny({ pattern: LLAMA3.pattern.replace("{1,3}", "{1,2}") }),
    /expected one that has a name; the nearest is llama-bpe, which differs in \/\\p\{N\}\{1,2\}\/$/,
  ],
  [
    "whole pieces before merges where the name says otherwise",
    () => tiny({ pattern: QWEN2, normalizer: { type: "NFC" } }),
    /the nearest is qwen2, which differs in whole pieces before merges$/,
  ],
  [
    "other changes of text",
    () => tiny({ normalizer: { type: "NFKC" } }),
    /by NFKC, expected none or NFC$/,
  ],
  ["other models", () => tiny({ model: { type: "Unigram" } }), /model is Unigram, expected BPE/],
  [
    "marks inside words",
    () => tiny({ model: { continuing_subword_prefix: "##" } }),
    /BPE with marks inside words, expected BPE/,
  ],
  [
    "tokens that take spaces with them",
    () => tiny({ added: { lstrip: true } }),
    /its token "<tool>" takes spaces .* expected tokens without lstrip/,
  ],
  [
    "ids that the embedding lacks",
    () => tiny({ added: { id: 300 } }),
    /has id 300, expected one below 300/,
  ],
  [
    "ids that two tokens share",
    () => tiny({ added: { id: 257 } }),
    /shares id 257 .* expected one id a token$/,
  ],
  [
    "merges with spaces",
    () => tiny({ model: { merges: [["a b", "c"]] } }),
    /has a space within, expected/,
  ],
  [
    "several tokens around a text",
    () =>
      tiny({
        post_processor: {
          type: "TemplateProcessing",
          single: [
            { SpecialToken: { id: "<s>" } },
            { SpecialToken: { id: "</s>" } },
            { Sequence: { id: "A" } },
          ],
        },
      }),
    /expected at most one token before and one behind$/,
  ],
  [
    "pieces that do not merge as SentencePiece merges them",
    () => {
      const files = sentencePiece();
      const { merges } = (files.tokenizer as { model: { merges: unknown[] } }).model;
      return changed(files, { model: { merges: merges.slice(1) } });
    },
    /its pieces "\S+" and "\S+" do not merge, expected merges for every way to cut a piece/,
  ],
  [
    "merges in another order than their pieces'",
    () => {
      const files = sentencePiece();
      const { merges } = (files.tokenizer as { model: { merges: [string, string][] } }).model;
      const ways = Object.groupBy(merges, (merge) => merge.join(""));
      const [, [first] = []] = Object.entries(ways).find(([, each]) => each!.length > 1)!;
      const moved = [...merges.filter((merge) => merge !== first), first];
      return changed(files, { model: { merges: moved } });
    },
    /its piece "\S+" merges before and after others, expected/,
  ],
  [
    "what is no tokenizer",
    () => ({ tokenizer: { model: 3 }, config: {} }),
    /model of tokenizer.json is not/,
  ],
];

for (const [what, files, message] of REFUSED) {
  Deno.test(`writing a tokenizer to a GGUF file refuses ${what}`, () => {
    const given = files();
    const { model } = given.tokenizer as { readonly model: { readonly byte_fallback?: boolean } };
    const rows = model.byte_fallback ? sentencepiece.tokens.length : 300;
    assert.throws(() => entriesOf(given, rows), (error: Error) => {
      assert.match(error.message, /^Cannot write the tokenizer to a GGUF file: [^\n]*$/);
      assert.match(error.message, message);
      return true;
    });
  });
}

interface Tiny {
  readonly pattern?: string;
  readonly normalizer?: object;
  readonly post_processor?: object;
  readonly model?: object;
  /** Changes of the token that a user added. */
  readonly added?: object;
  readonly config?: object;
}

/** A byte-level tokenizer like Llama 3's of 259 tokens. */
function tiny(
  { pattern = LLAMA3.pattern, normalizer, post_processor: post, model, added, config = {} }: Tiny,
): TokenizerFiles {
  const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(0x100 + byte));
  const token = (id: number, content: string, special: boolean) => ({ id, content, special });
  const split = { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
  return {
    tokenizer: {
      added_tokens: [
        token(256, "<s>", true),
        token(257, "</s>", true),
        { ...token(258, "<tool>", false), ...added },
      ],
      normalizer: normalizer ?? null,
      pre_tokenizer: { type: "Sequence", pretokenizers: [split, LLAMA3.bytes] },
      post_processor: post ?? null,
      model: {
        type: "BPE",
        ignore_merges: true,
        vocab: Object.fromEntries(bytes.map((byte, id) => [byte, id])),
        merges: [],
        ...model,
      },
    },
    config,
  };
}

function sentencePiece(): TokenizerFiles {
  return read(SENTENCE_PIECES);
}

/** A tokenizer with parts of its `tokenizer.json` replaced, those of its model one by one. */
function changed(
  { tokenizer, config }: TokenizerFiles,
  parts: { readonly model?: object },
): TokenizerFiles {
  const own = tokenizer as { readonly model: object };
  return { tokenizer: { ...own, ...parts, model: { ...own.model, ...parts.model } }, config };
}

function entriesOf(files: TokenizerFiles | undefined, rows: number): GgufEntries {
  return tokenizerEntries(files, { rows, model: {}, chatTemplate: undefined });
}

/** A tokenizer written and read again. */
function again(files: TokenizerFiles, rows: number): TokenizerFiles {
  return read(Object.fromEntries(valuesOf(entriesOf(files, rows))));
}

function valuesOf(entries: GgufEntries): Map<string, GgufValue> {
  return new Map(
    Object.entries(entries).map(([key, entry]) => [key, Object.values(entry)[0] as GgufValue]),
  );
}

function read(metadata: Readonly<Record<string, GgufValue>>): TokenizerFiles {
  const header = { metadata: new Map(Object.entries(metadata)), tensors: [] };
  return ggufTokenizer(ggufMetadata(header, "model.gguf"))!;
}
