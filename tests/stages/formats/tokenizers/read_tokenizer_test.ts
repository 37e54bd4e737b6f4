import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { readTokenizer } from "../../../../stages/formats/tokenizers/read_tokenizer.ts";
import { openTokenizer } from "../../../../stages/models/tokenizer.ts";
import golden from "../../../testdata/vocabulary_files.json" with { type: "json" };
import parts from "../../../testdata/tokenizer_parts.json" with { type: "json" };
import pieces from "../../../testdata/sentencepiece_tokens.json" with { type: "json" };

const MODEL = new Uint8Array(Buffer.from(pieces.model, "base64"));

Deno.test("a tokenizer.model gives SentencePiece's ids", async () => {
  const tokenizer = await opened({ "tokenizer.model": MODEL });
  for (const { text, ids } of pieces.cases) {
    assert.deepEqual(tokenizer.encode(text), ids, JSON.stringify(text));
  }
  assert.equal(tokenizer.size, pieces.tokens.length);
  assert.deepEqual(tokenizer.encode("", { special: true }), [1]);
  assert.deepEqual([tokenizer.bos, tokenizer.eos], [1, 2]);
});

Deno.test("a tokenizer.model obeys tokenizer_config.json and has the tokens that are added to it", async () => {
  const tokenizer = await opened({
    "tokenizer.model": MODEL,
    "tokenizer_config.json": { add_bos_token: false, eos_token: "<|end|>", chat_template: "x" },
    "added_tokens.json": { "<|end|>": pieces.tokens.length },
  });
  assert.deepEqual(tokenizer.encode("", { special: true }), []);
  assert.equal(tokenizer.encode("the<|end|>").at(-1), pieces.tokens.length);
  assert.equal(tokenizer.eos, pieces.tokens.length);
});

for (const [name, { config, ids }] of Object.entries(golden.tokenizers)) {
  Deno.test(`vocab.json and merges.txt give the ids of transformers: ${name}`, async () => {
    const tokenizer = await opened({ ...vocabulary(), "tokenizer_config.json": config });
    for (const [at, text] of golden.texts.entries()) {
      assert.deepEqual(tokenizer.encode(text), ids[at], JSON.stringify(text));
    }
    assert.equal(tokenizer.eos, tokenizer.id("<|end|>"));
  });
}

Deno.test("tokenizers in files that are not read exactly are refused with the way out", async () => {
  const refused: readonly (readonly [Readonly<Record<string, unknown>>, RegExp])[] = [
    [
      vocabulary(),
      /vocab.json": tokenizer_config.json has tokenizer_class nowhere, expected Code.*save the tokenizer with transformers/,
    ],
    [
      { ...vocabulary(), "tokenizer_config.json": { tokenizer_class: "RobertaTokenizer" } },
      /has tokenizer_class "RobertaTokenizer", expected/,
    ],
    [
      { "tokenizer.model": MODEL.slice(0, 1000) },
      /it ends within a field, expected a model of SentencePiece/,
    ],
    [{ "tokenizer.model": new Uint8Array(0) }, /it has no pieces, expected/],
    [{ "tokenizer.model": new Uint8Array(20).fill(0xff) }, /a number has no end|wire type/],
    // The last field of the trainer, and of the normalizer, said otherwise.
    [
      { "tokenizer.model": joined(MODEL, [0x12, 2, 0x18, 1]) },
      /it cuts text by UNIGRAM, expected BPE; save/,
    ],
    [
      { "tokenizer.model": joined(MODEL, [0x1a, 5, 0x0a, 1, 0x4e, 0x20, 1]) },
      /it removes extra white space, expected it kept/,
    ],
    [
      { "tokenizer.model": joined(MODEL, [0x1a, 6, 0x0a, 1, 0x4e, 0x12, 1, 7]) },
      /it normalizes text by N, expected identity/,
    ],
  ];
  for (const [files, message] of refused) await assert.rejects(opened(files), message);
});

Deno.test("a directory without a tokenizer has none", async () => {
  const directory = await Deno.makeTempDir();
  assert.equal(await readTokenizer(directory), undefined);
  await Deno.remove(directory, { recursive: true });
});

function vocabulary(): Record<string, unknown> {
  const { tokenizer } = parts.tokenizers.find(({ name }) => name === "BPE of bytes")!;
  const model = parts.models[tokenizer.model] as { vocab: object; merges: string[][] };
  const size = Object.keys(model.vocab).length;
  return {
    "vocab.json": { ...model.vocab, "<|end|>": size },
    "merges.txt": `#version: 0.2\n${model.merges.map((merge) => merge.join(" ")).join("\n")}\n`,
    "added_tokens.json": { "<|im|>": size + 1 },
  };
}

function joined(a: Uint8Array, b: readonly number[]): Uint8Array {
  return Uint8Array.from([...a, ...b]);
}

async function opened(files: Readonly<Record<string, unknown>>) {
  const directory = await Deno.makeTempDir();
  try {
    for (const [name, content] of Object.entries(files)) {
      const path = `${directory}/${name}`;
      if (content instanceof Uint8Array) await Deno.writeFile(path, content);
      else {
        await Deno.writeTextFile(
          path,
          typeof content === "string" ? content : JSON.stringify(content),
        );
      }
    }
    return openTokenizer((await readTokenizer(directory))!);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
