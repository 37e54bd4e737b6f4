import { strict as assert } from "node:assert";
import { openTokenizer } from "../../../stages/models/tokenizer.ts";
import { TOKENIZER_LIMITS } from "../../../stages/tokenizer/limits.ts";

const MODEL = { type: "BPE", vocab: { a: 0, b: 1, ab: 2 }, merges: ["a b"] };

function open(parts: object) {
  return openTokenizer({ tokenizer: { added_tokens: [], model: MODEL, ...parts }, config: {} });
}

function split(source: string) {
  return { type: "Split", pattern: { Regex: source }, behavior: "Isolated", invert: false };
}

const REFUSED: readonly (readonly [what: string, parts: object, message: RegExp])[] = [
  [
    "a normalizer by its name",
    { normalizer: { type: "Precompiled", precompiled_charsmap: "" } },
    /: its normalizer is Precompiled, expected NFC, .* or a Sequence of them$/,
  ],
  [
    "a pre-tokenizer by its name",
    { pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "UnicodeScripts" }] } },
    /: its pre_tokenizer is UnicodeScripts, expected BertPreTokenizer, /,
  ],
  ["a decoder by its name", { decoder: { type: "CTC" } }, /: its decoder is CTC, expected BPEDec/],
  [
    "a post-processor by its name",
    { post_processor: { type: "Other" } },
    /: its post_processor is Other, expected BertProcessing, /,
  ],
  [
    "a model by its name",
    { model: { type: "Morfessor" } },
    /: its model is Morfessor, expected BPE/,
  ],
  [
    "a part that there is not, as the library does",
    { Normalizer: { type: "Lowercase" } },
    /: tokenizer.json has "Normalizer", expected version, .*, model alone$/,
  ],
  ["another version", { version: "2.0" }, /: tokenizer.json is of version "2.0", expected "1.0"$/],
  [
    "random tokens",
    { model: { ...MODEL, dropout: 0.1 } },
    /: its BPE has dropout 0.1, which makes tokens random, expected null$/,
  ],
  [
    "a behavior that there is not",
    { pre_tokenizer: { ...split("a"), behavior: "Doubled" } },
    /: Split of tokenizer.json has behavior that cannot be read/,
  ],
  [
    "merges of tokens that the vocabulary lacks",
    { model: { ...MODEL, merges: ["a c"] } },
    /: its merge 0 needs the token "c", expected it in the vocabulary$/,
  ],
  [
    "merges that make what the vocabulary lacks",
    { model: { ...MODEL, merges: ["b a"] } },
    /: its merge 0 needs the token "ba", expected it/,
  ],
  ["a merge of one", { model: { ...MODEL, merges: [["a"]] } }, /merge 0 is \["a"\], expected two/],
  [
    "an added token with two ids",
    { added_tokens: [{ id: 7, content: "ab" }] },
    /: its added token "ab" has id 7 and 2 in the vocabulary, expected one id$/,
  ],
  [
    "an added token with an absurd id",
    { added_tokens: [{ id: 2 ** 31, content: "x" }] },
    /: its token "x" has id 2147483648, expected a whole number below 4194304$/,
  ],
  [
    "a token with an id that is none",
    { model: { ...MODEL, vocab: { a: -1 } } },
    /: its token "a" has id -1, expected a whole number/,
  ],
  [
    "a token of a million characters",
    { model: { ...MODEL, vocab: { ["x".repeat(1e6)]: 0 }, merges: [] } },
    /: one of its tokens has 1000000 characters, expected at most 4096$/,
  ],
  [
    "more merges than anybody has",
    { model: { ...MODEL, merges: { length: TOKENIZER_LIMITS.merges + 1 } } },
    /: its BPE has no merges, expected a list of them$/,
  ],
  [
    "more merges than anybody has, in a list",
    { model: { ...MODEL, merges: new Array(TOKENIZER_LIMITS.merges + 1) } },
    /: its BPE has 1048577 merges, expected at most 1048576$/,
  ],
  [
    "more added tokens than anybody has",
    { added_tokens: new Array(TOKENIZER_LIMITS.tokens + 1) },
    /: it has 2097153 added tokens, expected at most 2097152$/,
  ],
  [
    "an expression of exponential time",
    { pre_tokenizer: split("(a+)+b") },
    /expression \/\(a\+\)\+b\/ repeats what repeats already, which may take exponential time/,
  ],
  [
    "an expression that is none",
    { pre_tokenizer: split("(a") },
    /expression \/\(a\/ cannot be read \(.*\), expected one of Oniguruma's$/,
  ],
  [
    "an expression that is too long",
    { pre_tokenizer: split("a".repeat(20_000)) },
    /: a regular expression of it has 20000 characters, expected at most 16384$/,
  ],
  [
    "a template around texts that lacks a token",
    {
      post_processor: {
        type: "TemplateProcessing",
        single: [{ SpecialToken: { id: "<s>" } }, { Sequence: { id: "A" } }],
        special_tokens: {},
      },
    },
    /: its TemplateProcessing lacks the token "<s>" that it puts around texts/,
  ],
  ["null", { model: null }, /: its model is of no type, expected BPE, /],
];

for (const [what, parts, message] of REFUSED) {
  Deno.test(`\`openTokenizer()\` refuses ${what}`, () => {
    const start = performance.now();
    assert.throws(() => open(parts), (error: Error) => {
      assert.match(error.message, /^Cannot use the tokenizer: [^\n]*$/);
      assert.match(error.message, message);
      return true;
    });
    assert.ok(performance.now() - start < 5000);
  });
}

Deno.test("`openTokenizer()` refuses what is no object", () => {
  for (const tokenizer of [null, [], "x", 3]) {
    assert.throws(() => openTokenizer({ tokenizer, config: {} }), {
      message: "Cannot use the tokenizer: tokenizer.json is no object, expected one",
    });
  }
});

Deno.test("a text that needs an unknown token which is not there is refused", () => {
  const tokenizer = open({ model: { ...MODEL, unk_token: "<unk>" } });
  assert.deepEqual(tokenizer.encode("ab"), [2]);
  assert.throws(() => tokenizer.encode("c"), /lacks the unknown token "<unk>" that a text needs$/);
});

Deno.test("half of a surrogate pair is the replacement character, as in UTF-8", () => {
  const tokenizer = open({ model: { ...MODEL, vocab: { "\ufffd": 5, a: 0 }, merges: [] } });
  assert.deepEqual(tokenizer.encode("a\ud800"), [0, 5]);
});

Deno.test("a long text without cuts is merged in little more than linear time", () => {
  const tokenizer = open({});
  const start = performance.now();
  assert.equal(tokenizer.encode("ab".repeat(200_000)).length, 200_000);
  assert.ok(performance.now() - start < 5000);
});
