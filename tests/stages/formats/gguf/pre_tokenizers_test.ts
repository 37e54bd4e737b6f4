import { strict as assert } from "node:assert";
import { ggufMetadata } from "../../../../stages/formats/gguf/metadata.ts";
import { findPreTokenizer } from "../../../../stages/formats/gguf/pre_tokenizers.ts";
import { ggufTokenizer, ggufTokenizerNotes } from "../../../../stages/formats/gguf/tokenizer.ts";
import { openTokenizer } from "../../../../stages/models/tokenizer.ts";
import golden from "../../../testdata/pre_tokenizers.json" with { type: "json" };

/**
 * Texts on which llama.cpp is known to differ from the models' own tokenizers, which count: its
 * expressions know no \p{M} and no \p{Lu}, its \d is \p{N} and its \s none of U+3000, and it composes
 * nothing.
 */
const OWN: readonly (readonly [names: string, texts: RegExp])[] = [
  ["qwen2 deepseek-r1-qwen megrez qwen35", /\p{M}/u],
  ["tekken gpt-4o llama4 kanana2 talkie minimax-m2", /\p{M}/u],
  ["tiny_aya cohere2moe", /\p{M}|½½|[a-z][A-Z]/u],
  ["kimi-k2 youtu", /\p{M}|[a-z][A-Z]/u],
  ["deepseek-llm deepseek-coder", /\p{M}|\u3000/u],
];

for (const [name, lists] of Object.entries(golden.ids)) {
  Deno.test(`text is cut as llama.cpp cuts it where \`pre\` is ${name}`, () => {
    const encode = encoder(name);
    const own = OWN.find(([names]) => names.split(" ").includes(name))?.[1];
    for (const [at, ids] of lists.entries()) {
      const text = golden.texts[at]!;
      if (own?.test(text)) continue;
      assert.deepEqual(encode(text), spelt(ids), JSON.stringify(text));
    }
  });
}

Deno.test("a file without `pre` is cut as llama.cpp's default, with a note", () => {
  const text = "don't stop  (now)! 12345";
  const at = golden.texts.indexOf(text);
  assert.deepEqual(encoder(undefined)(text), spelt(golden.ids.default[at]!));
  assert.notDeepEqual(encoder(undefined)(text), spelt(golden.ids["gpt-2"][at]!));
  assert.deepEqual(ggufTokenizerNotes(metadata("default")), []);
  assert.match(
    ggufTokenizerNotes(metadata(undefined)).join(),
    /^The file has no tokenizer.ggml.pre/,
  );
});

Deno.test("names of llama.cpp's that do more than cut bytes are refused with what they do", () => {
  assert.throws(() => findPreTokenizer("gemma4", "m.gguf"), {
    message:
      /"gemma4", which marks spaces and merges characters, expected one of gpt-2, .*default$/,
  });
  assert.throws(
    () => findPreTokenizer("constructor", "m.gguf"),
    /is "constructor", expected one of/,
  );
});

function encoder(pre: string | undefined): (text: string) => (string | undefined)[] {
  const tokenizer = openTokenizer(ggufTokenizer(metadata(pre))!);
  return (text) => spelt(tokenizer.encode(text));
}

function spelt(ids: readonly number[]): (string | undefined)[] {
  return ids.map((id) => golden.tokens[id]);
}

function metadata(pre: string | undefined) {
  const metadata = {
    "tokenizer.ggml.model": "gpt2",
    ...pre !== undefined && { "tokenizer.ggml.pre": pre },
    "tokenizer.ggml.tokens": golden.tokens,
    "tokenizer.ggml.token_type": golden.tokens.map(() => 1),
    "tokenizer.ggml.merges": golden.merges,
  };
  return ggufMetadata({ metadata: new Map(Object.entries(metadata)) }, "model.gguf");
}
