import assert from "node:assert/strict";
import type { GgufValue } from "../../../../stages/formats/gguf/header.ts";
import { ggufMetadata } from "../../../../stages/formats/gguf/metadata.ts";
import { PRE_TOKENIZERS } from "../../../../stages/formats/gguf/pre_tokenizer_list.ts";
import { ggufTokenizer } from "../../../../stages/formats/gguf/tokenizer.ts";
import { openTokenizer, type Tokenizer } from "../../../../stages/models/tokenizer.ts";
import { SENTENCE_PIECES } from "../../../support/sentence_pieces.ts";
import sentencepiece from "../../../testdata/sentencepiece_tokens.json" with { type: "json" };
import smollm from "../../../testdata/smollm_tokens.json" with { type: "json" };

Deno.test("a tokenizer rebuilt from GGUF gives SmolLM2's ids where `pre` is smollm", () => {
  const tokenizer = openTokenizer(rebuilt(smollmMetadata()));
  for (const { text, ids } of smollm.cases) {
    assert.deepEqual(tokenizer.encode(text), ids, JSON.stringify(text));
  }
  assert.equal(tokenizer.size, smollm.size);
});

Deno.test("a tokenizer rebuilt from GGUF gives other ids where smollm is taken for gpt-2", () => {
  const tokenizer = openTokenizer(
    rebuilt({ ...smollmMetadata(), "tokenizer.ggml.pre": "gpt-2" }),
  );
  const wrong = smollm.cases.filter(({ text, ids }) => `${tokenizer.encode(text)}` !== `${ids}`);
  assert.notEqual(wrong.length, 0);
  for (const { text } of wrong) assert.match(text, /\p{N}/u);
});

Deno.test("a tokenizer rebuilt from GGUF gives SentencePiece's ids for a `llama` vocabulary", () => {
  const tokenizer = openTokenizer(rebuilt(SENTENCE_PIECES));
  for (const { text, ids } of sentencepiece.cases) {
    assert.deepEqual(tokenizer.encode(text), ids, JSON.stringify(text));
    assert.equal(tokenizer.decode(ids), text.replaceAll("▁", " "), JSON.stringify(text));
  }
  const [bos] = tokenizer.encode("the", { special: true });
  assert.equal(bos, tokenizer.bos);
  assert.equal(tokenizer.token(bos!), "<s>");
});

Deno.test("a tokenizer rebuilt from GGUF leaves out the first space where the file says so", () => {
  const metadata = { ...SENTENCE_PIECES, "tokenizer.ggml.add_space_prefix": false };
  const tokenizer = openTokenizer(rebuilt(metadata));
  assert.equal(tokenizer.token(tokenizer.encode("the")[0]!)?.startsWith("▁"), false);
  assert.equal(tokenizer.decode(tokenizer.encode(" the fox")), " the fox");
});

const CUTS: Readonly<Record<string, readonly [text: string, pieces: readonly string[]][]>> = {
  "gpt-2": [["1234", ["1234"]], ["I'S", ["I", "'", "S"]], ["I's", ["I", "'s"]], ["oW", ["oW"]]],
  "smollm": [["1234", ["1", "2", "3", "4"]], ["I'S", ["I", "'", "S"]], ["I's", ["I", "'s"]]],
  "llama-bpe": [["1234", ["123", "4"]], ["I'S", ["I", "'S"]], ["I's", ["I", "'s"]]],
  "qwen2": [["1234", ["1", "2", "3", "4"]], ["I'S", ["I", "'S"]], ["oW", ["oW"]]],
  "tekken": [["1234", ["1", "2", "3", "4"]], ["oW", ["o", "W"]], ["I's", ["I", "'s"]]],
};

for (const [pre, cases] of Object.entries(CUTS)) {
  Deno.test(`a tokenizer rebuilt from GGUF cuts text as ${pre} does`, () => {
    const merges = ["1 2", "12 3", "123 4", "' S", "' s", "o W"];
    const tokenizer = openTokenizer(rebuilt(tinyMetadata({ pre, merges })));
    for (const [text, pieces] of cases) assert.deepEqual(spelt(tokenizer, text), pieces, text);
  });
}

Deno.test("a tokenizer rebuilt from GGUF composes text for qwen2 and not for gpt-2", () => {
  const merges = ["Ã ©"];
  const decomposed = "e\u0301";
  const qwen2 = openTokenizer(rebuilt(tinyMetadata({ pre: "qwen2", merges })));
  const gpt2 = openTokenizer(rebuilt(tinyMetadata({ pre: "gpt-2", merges })));
  assert.deepEqual(spelt(qwen2, decomposed), ["Ã©"]);
  assert.equal(gpt2.decode(gpt2.encode(decomposed)), decomposed);
});

Deno.test("a tokenizer rebuilt from GGUF keeps control and user-defined tokens whole", () => {
  const extra = ["<|begin|>", "<user>"];
  const metadata = tinyMetadata({ pre: "llama-bpe", merges: [], extra, kinds: [3, 4] });
  const files = rebuilt({
    ...metadata,
    "tokenizer.ggml.bos_token_id": 256,
    "tokenizer.chat_template": "{{ bos_token }}",
  });
  const tokenizer = openTokenizer(files);
  assert.deepEqual(spelt(tokenizer, "a<|begin|>b<user>"), ["a", "<|begin|>", "b", "<user>"]);
  assert.deepEqual(tokenizer.encode("a", { special: true }), [256, tokenizer.id("a")]);
  assert.deepEqual(tokenizer.encode("a"), [tokenizer.id("a")]);
  const { added_tokens: added } = files.tokenizer as { added_tokens: { special: boolean }[] };
  assert.deepEqual(added.map(({ special }) => special), [true, false]);
  assert.deepEqual(files.config, {
    tokenizer_class: "PreTrainedTokenizerFast",
    add_bos_token: true,
    add_eos_token: false,
    clean_up_tokenization_spaces: false,
    bos_token: "<|begin|>",
    chat_template: "{{ bos_token }}",
  });
});

Deno.test("`ggufTokenizer()` obeys `add_bos_token` over the habit of the pre-tokenizer", () => {
  const metadata = tinyMetadata({ pre: "gpt-2", merges: [], extra: ["<s>"], kinds: [3] });
  const encode = (more: Record<string, GgufValue>) =>
    openTokenizer(rebuilt({ ...metadata, ...more })).encode("", { special: true });
  assert.deepEqual(encode({ "tokenizer.ggml.bos_token_id": 256 }), []);
  assert.deepEqual(
    encode({ "tokenizer.ggml.bos_token_id": 256, "tokenizer.ggml.add_bos_token": true }),
    [256],
  );
});

Deno.test("`ggufTokenizer()` refuses tokenizers it cannot rebuild exactly", () => {
  const metadata = tinyMetadata({ pre: "smollm", merges: [] });
  const refuses = (more: Record<string, GgufValue | undefined>, message: string) => {
    const entries = Object.entries({ ...metadata, ...more }).filter((entry) =>
      entry[1] !== undefined
    );
    const changed = Object.fromEntries(entries) as Record<string, GgufValue>;
    assert.throws(() => rebuilt(changed), {
      message: `Cannot rebuild the tokenizer of "model.gguf": ${message}`,
    });
  };
  refuses(
    { "tokenizer.ggml.pre": "another" },
    `its tokenizer.ggml.pre is "another", expected one of ${
      Object.keys(PRE_TOKENIZERS).join(", ")
    }`,
  );
  refuses(
    { "tokenizer.ggml.merges": undefined },
    "no tokenizer.ggml.merges, expected it beside tokenizer.ggml.model",
  );
  refuses(
    { "tokenizer.ggml.model": "bert" },
    `its tokenizer.ggml.model is "bert", expected gpt2 or llama`,
  );
  refuses(
    { "tokenizer.ggml.token_type": [1, 1] },
    "tokenizer.ggml.token_type has 2 entries, expected 256 as there are tokens",
  );
});

Deno.test("a file of absurdly many or long pieces is refused before they are cut", () => {
  const tokens = Array.from({ length: 40 }, (_, at) => `${at}${"x".repeat(6000)}`);
  const metadata = { ...SENTENCE_PIECES, "tokenizer.ggml.tokens": tokens };
  const lists = {
    "tokenizer.ggml.scores": tokens.map(() => 0),
    "tokenizer.ggml.token_type": tokens.map(() => 1),
  };
  assert.throws(
    () => rebuilt({ ...metadata, ...lists }),
    /the parts of its pieces have \d+ characters, expected at most 1073741824$/,
  );
  const many = new Array<string>(2 ** 21 + 1).fill("x");
  assert.throws(
    () => rebuilt({ ...SENTENCE_PIECES, "tokenizer.ggml.tokens": many }),
    /"model.gguf" has 2097153 tokens, expected at most 2097152$/,
  );
});

Deno.test("`Tokenizer.decode()` gives back every text, spaces before punctuation included", () => {
  const tokenizer = openTokenizer(rebuilt(tinyMetadata({ pre: "gpt-2", merges: ["Ġ ,"] })));
  for (const text of ["", "a , b . c ' s n't", "\n\n  x\t", "日本語 😀", "\ufeffa\u0085b"]) {
    assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
  }
});

Deno.test("`openTokenizer()` takes special tokens said as strings or as objects", () => {
  const files = rebuilt(tinyMetadata({ pre: "gpt-2", merges: [], extra: ["<s>"], kinds: [3] }));
  const config = { bos_token: "<s>", eos_token: { content: "<s>", lstrip: false } };
  const tokenizer = openTokenizer({ ...files, config });
  assert.equal(tokenizer.bos, 256);
  assert.equal(tokenizer.eos, 256);
  assert.equal("bos" in openTokenizer({ ...files, config: { bos_token: null } }), false);
});

function rebuilt(metadata: Readonly<Record<string, GgufValue>>) {
  const header = { metadata: new Map(Object.entries(metadata)), tensors: [] };
  return ggufTokenizer(ggufMetadata(header, "model.gguf"))!;
}

function spelt(tokenizer: Tokenizer, text: string): (string | undefined)[] {
  return tokenizer.encode(text).map((id) => tokenizer.token(id));
}

/** SmolLM2's metadata with the tokens that the strings do not need left out. */
function smollmMetadata(): Record<string, GgufValue> {
  const tokens = Array.from({ length: smollm.size }, (_, id) => `<left out ${id}>`);
  const kinds = tokens.map(() => 5);
  for (const [id, [token, kind]] of Object.entries(smollm.tokens)) {
    tokens[Number(id)] = String(token);
    kinds[Number(id)] = Number(kind);
  }
  return {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.token_type": kinds,
    "tokenizer.ggml.merges": smollm.merges,
  };
}

interface Tiny {
  readonly pre: string;
  readonly merges: readonly string[];
  readonly extra?: readonly string[];
  readonly kinds?: readonly number[];
}

/** Byte-level metadata of the 256 bytes, then `extra` tokens of the given kinds, then the merges'. */
function tinyMetadata({ pre, merges, extra = [], kinds = [] }: Tiny): Record<string, GgufValue> {
  const merged = merges.map((merge) => merge.replace(" ", ""));
  const bytes = byteAlphabet();
  return {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": pre,
    "tokenizer.ggml.tokens": [...bytes, ...extra, ...merged],
    "tokenizer.ggml.token_type": [...bytes.map(() => 1), ...kinds, ...merged.map(() => 1)],
    "tokenizer.ggml.merges": merges,
  };
}

/** GPT-2's 256 characters for bytes: printable ones stand for themselves, others follow U+0100. */
function byteAlphabet(): string[] {
  const printable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  let next = 256;
  return Array.from(
    { length: 256 },
    (_, byte) => String.fromCharCode(printable(byte) ? byte : next++),
  );
}
