import { strict as assert } from "node:assert";
import {
  answerEnds,
  type EndTexts,
  namedEnds,
  statingEnds,
} from "../../../stages/formats/answer_ends.ts";

/** An added token as `tokenizer.json` lists it. */
const added = (id: number, content: string, special = true) => ({ id, content, special });

function texts(
  { config = {}, tokenizer = {}, names = {}, files = {} }: {
    readonly config?: object;
    readonly tokenizer?: object;
    /** `tokenizer_config.json`. */
    readonly names?: object;
    readonly files?: Readonly<Record<string, unknown>>;
  },
): EndTexts {
  return {
    config,
    tokenizer: { tokenizer, config: names },
    files: new Map(Object.entries(files).map(([name, json]) => [name, JSON.stringify(json)])),
  };
}

const told = (given: EndTexts) =>
  answerEnds(given).map(({ id, token, sources }) => [id, token, sources.join(" ")]);

/** As meta-llama/Llama-3.1-8B-Instruct is published: three ends, of which the tokenizer knows one. */
const LLAMA_31 = texts({
  config: { eos_token_id: [128001, 128008, 128009] },
  tokenizer: {
    added_tokens: [
      added(128000, "<|begin_of_text|>"),
      added(128001, "<|end_of_text|>"),
      added(128008, "<|eom_id|>"),
      added(128009, "<|eot_id|>"),
    ],
  },
  names: { bos_token: "<|begin_of_text|>", eos_token: "<|eot_id|>" },
  files: {
    "generation_config.json": { bos_token_id: 128000, eos_token_id: [128001, 128008, 128009] },
    "special_tokens_map.json": { eos_token: { content: "<|eot_id|>" } },
  },
});

Deno.test("ends of answers are the union of all that says one, each with its sources", () => {
  const all = "generation_config.json config.json";
  assert.deepEqual(told(LLAMA_31), [
    [128009, "<|eot_id|>", `tokenizer_config.json ${all} special_tokens_map.json added tokens`],
    [128001, "<|end_of_text|>", `${all} added tokens`],
    [128008, "<|eom_id|>", `${all} added tokens`],
  ]);
});

Deno.test("each place alone is enough", () => {
  const tokenizer = {
    added_tokens: [added(0, "<s>"), added(3, "<stop>"), added(4, "<|im_end|>", false)],
    model: { vocab: { a: 1, "</s>": 2 } },
  };
  const cases: readonly (readonly [Parameters<typeof texts>[0], unknown[]])[] = [
    [{ config: { eos_token_id: 2 } }, [[2, "</s>", "config.json"]]],
    [{ config: { text_config: { eos_token_id: [2, 1] } } }, [[2, "</s>", "config.json"], [
      1,
      "a",
      "config.json",
    ]]],
    [{ names: { eos_token: { content: "<stop>" } } }, [[3, "<stop>", "tokenizer_config.json"]]],
    [{ names: { eot_token: "<stop>", eos_token: null } }, [[3, "<stop>", "tokenizer_config.json"]]],
    [{ files: { "generation_config.json": { eos_token_id: 3 } } }, [[
      3,
      "<stop>",
      "generation_config.json",
    ]]],
    [{ files: { "special_tokens_map.json": { eos_token: "</s>" } } }, [[
      2,
      "</s>",
      "special_tokens_map.json",
    ]]],
    [{ files: { "added_tokens.json": { "<|im_end|>": 4 } } }, [[4, "<|im_end|>", "added tokens"]]],
    [
      { names: { added_tokens_decoder: { 4: { content: "<|im_end|>", special: true } } } },
      [[4, "<|im_end|>", "added tokens"]],
    ],
    // No token of the text, no id, and none at all.
    [{}, []],
    [{ config: { eos_token_id: -1 }, names: { eos_token: "<missing>" } }, []],
    [{ config: { eos_token_id: 99 } }, [[99, undefined, "config.json"]]],
  ];
  for (const [given, expected] of cases) {
    assert.deepEqual(told(texts({ tokenizer, ...given })), expected, JSON.stringify(given));
  }
  const pieces = {
    added_tokens: [],
    model: { type: "Unigram", vocab: [["<unk>", 0], ["</s>", 0]] },
  };
  const unigram = texts({ tokenizer: pieces, names: { eos_token: "</s>" } });
  assert.deepEqual(told(unigram), [[1, "</s>", "tokenizer_config.json"]]);
});

Deno.test("names end answers as in llama.cpp, with its exceptions", () => {
  const ends = (...names: readonly string[]) => namedEnds((name) => names.includes(name));
  assert.deepEqual(ends("<|im_start|>", "<|im_end|>", "<|endoftext|>"), [
    "<|im_end|>",
    "<|endoftext|>",
  ]);
  // gpt-oss: an end of a part of an answer.
  assert.deepEqual(ends("<|end|>", "<|return|>", "<|call|>"), ["<|return|>", "<|call|>"]);
  assert.deepEqual(ends("<|end|>", "<|flush|>", "<|calls|>"), ["<|flush|>", "<|calls|>"]);
  assert.deepEqual(ends("<|end|>", "<|return|>"), ["<|end|>", "<|return|>"]);
  assert.deepEqual(ends("</s>", "<|tool_response>"), ["<|tool_response>"]);
});

Deno.test("an export states all ends in both of its files, and leaves alone what says them", () => {
  assert.equal(statingEnds(LLAMA_31).config, LLAMA_31.config);
  assert.deepEqual(statingEnds(LLAMA_31).files, LLAMA_31.files);
  // As SmolLM2 would be with an end that only its tokenizer knows.
  const given = texts({
    config: { eos_token_id: 0, hidden_size: 16 },
    tokenizer: { added_tokens: [added(0, "<|endoftext|>"), added(2, "<|im_end|>")] },
    names: { eos_token: "<|endoftext|>" },
    files: { "generation_config.json": { temperature: 0.2, eos_token_id: 0 } },
  });
  const { config, files } = statingEnds(given);
  assert.deepEqual(config, { eos_token_id: [0, 2], hidden_size: 16 });
  assert.deepEqual(JSON.parse(files.get("generation_config.json")!), {
    temperature: 0.2,
    eos_token_id: [0, 2],
  });
  // The config is enough where there is no other file, as transformers and vLLM take it from there.
  const alone = statingEnds({ ...given, files: new Map() });
  assert.deepEqual([alone.config, alone.files.size], [config, 0]);
});

Deno.test("a file that is no JSON is named", () => {
  const given = {
    config: {},
    tokenizer: undefined,
    files: new Map([["generation_config.json", "{"]]),
  };
  assert.throws(
    () => answerEnds(given),
    /^SyntaxError: Cannot read generation_config\.json: .*, expected JSON$/,
  );
});
