// Slow: a run of the command line for each input.
import { strict as assert } from "node:assert";
import { gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { boundsOf } from "../../stages/bounds.ts";
import { factsOf } from "../../stages/facts.ts";
import * as stages from "../../stages/mod.ts";
import { openTools } from "../../stages/tools.ts";
import { callProgram } from "../support/cli_call.ts";
import { type CopiedTensor, readTensors, writeTensors } from "../support/family_copy.ts";
import { writeFilled } from "../support/filled_llama.ts";

/**
 * Inputs that users' files look like, by public reports of bugs of neighbouring tools, and what comes out:
 * what a sound input gives, or a refusal. What needs a server or a GGUF file stands with those: answers that
 * end at an end of turn (`serve_model_ends_test.ts`), templates (`chat_template_test.ts`), blocks and cuts of
 * GGUF (`tests/stages/formats/gguf/`).
 */
interface Odd {
  /** Changes the files of a sound checkpoint. */
  readonly model?: (directory: string) => Promise<void>;
  /** A file of texts, under a name. */
  readonly text?: readonly [name: string, content: string | Uint8Array];
  readonly set?: readonly string[];
  /** The input that gives the same, or what is said where nothing is given; a number of its own unless said. */
  readonly gives?: keyof typeof SOUND | RegExp;
  /** What is said beside it. */
  readonly says?: RegExp;
}

const CONFIG = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 16,
  vocab_size: 257,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-6,
  rope_theta: 10000,
  tie_word_embeddings: false,
  eos_token_id: 256,
};
const DOCUMENTS = Array.from(
  { length: 12 },
  (_, i) => `A small boat number ${i} went down the river, and nobody saw it again for ${i} days.`,
);
const TEXT = DOCUMENTS.join("\n\n");
const LINES = DOCUMENTS.map((text) => JSON.stringify({ text, url: "http://x" })).join("\n");
const bytes = (text: string) => new TextEncoder().encode(text);
const SOUND = { text: ["text.txt", TEXT] as const };

/** Writes over keys of a JSON file; those set to undefined go. */
const json = (name: string, change: object) => async (directory: string) => {
  const path = `${directory}/${name}`;
  const before = JSON.parse(await Deno.readTextFile(path));
  await Deno.writeTextFile(path, JSON.stringify({ ...before, ...change }));
};
const config = (change: object) => json("config.json", change);

/** Changes the tensors of the checkpoint. */
const tensors =
  (edit: (tensors: Map<string, CopiedTensor>) => void) => async (directory: string) => {
    const path = `${directory}/model.safetensors`;
    const all = await readTensors(path);
    edit(all);
    await writeTensors(path, all);
  };
const Q = "model.layers.0.self_attn.q_proj";
const vector = (length: number, value: number): CopiedTensor => ({
  dtype: "F16",
  shape: [length],
  bytes: new Uint8Array(new Float16Array(length).fill(value).buffer),
});
/** Sets a value of a weight, in half precision. */
const spoilt = (value: number) =>
  tensors((all) => {
    const { bytes } = all.get(`${Q}.weight`)!;
    new Float16Array(bytes.buffer, bytes.byteOffset, 1)[0] = value;
  });
const biases = tensors((all) => {
  for (const layer of [0, 1]) {
    for (const [name, size] of [["q", 32], ["k", 16], ["v", 16]] as const) {
      all.set(`model.layers.${layer}.self_attn.${name}_proj.bias`, vector(size, 0.5));
    }
  }
});
const anotherLayer = tensors((all) => {
  for (const [name, tensor] of [...all]) {
    if (name.startsWith("model.layers.1.")) all.set(name.replace(".1.", ".2."), tensor);
  }
});
const ALL_LETTERS = { type: "Regex", Regex: " ?[^ ]+| +" };

const INPUTS: Readonly<Record<string, Odd>> = {
  "a sound one": { gives: "text" },
  "JSON lines in gzip": {
    text: ["c4-train.00000-of-01024.json.gz", gzipSync(LINES)],
    gives: "text",
  },
  "JSON lines called .json": { text: ["c4.json", LINES], gives: "text" },
  "UTF-16": {
    text: [
      "utf16.txt",
      new Uint8Array(
        Uint16Array.from([0xfeff, ...TEXT].map((c) => typeof c === "number" ? c : c.charCodeAt(0)))
          .buffer,
      ),
    ],
    gives: /Cannot read ".*utf16\.txt": it is text in UTF-16, expected .*; iconv /,
  },
  "a tokenizer larger than the table": {
    model: (directory) => writeFilled(directory, { ...CONFIG, vocab_size: 60, eos_token_id: 0 }),
    gives: /have no row in the model's embedding table, expected ids below 60/,
  },
  "biases that the config denies": {
    model: biases,
    gives: /_proj\.bias".* are of biases that config.json denies, expected none; set use_biases/,
  },
  "the same, wanted": { model: biases, set: ["fp16.use_biases=true"] },
  "a tied head that differs": {
    model: config({ tie_word_embeddings: true }),
    gives: "text",
    says:
      /ties the head to the embeddings, but "lm_head.weight" holds other values; this head is used/,
  },
  "values below half precision": {
    model: tensors((all) => {
      const { shape } = all.get(`${Q}.weight`)!;
      const values = new Float32Array(32 * 32).fill(1e-9);
      all.set(`${Q}.weight`, { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) });
    }),
    gives: /Cannot keep tensor ".*q_proj.weight" in half precision: .*; set dtype to float32/,
  },
  "a pre-tokenizer that splits otherwise to the same": {
    model: json("tokenizer.json", {
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          { type: "Split", pattern: { String: " " }, behavior: "MergedWithNext", invert: false },
          { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
        ],
      },
    }),
    gives: "text",
  },
  "heads that linears cannot feed": {
    model: config({ num_attention_heads: 1, head_dim: 100 }),
    gives: /the channels of 1 heads of 100 is 100, expected a multiple of 8/,
  },
  "YaRN": {
    model: config({
      rope_scaling: {
        rope_type: "yarn",
        factor: 4,
        original_max_position_embeddings: 128,
      },
    }),
  },
  "no class": {
    model: config({ architectures: undefined }),
    gives: "text",
    says: /config.json names no class; by its model_type "llama" it is LlamaForCausalLM/,
  },
  // More of the same kinds.
  "a byte order mark": { text: ["text.txt", `\ufeff${TEXT}`], gives: "text" },
  "gzip called .txt": { text: ["text.txt", gzipSync(TEXT)], gives: "text" },
  "a JSON array": { text: ["a.txt", `[${LINES.replaceAll("\n", ",")}]`], gives: "text" },
  "another field": {
    text: ["a.jsonl", DOCUMENTS.map((content) => JSON.stringify({ content })).join("\n")],
    set: ["text.field=content"],
    gives: "text",
  },
  "no such field": {
    text: ["a.jsonl", DOCUMENTS.map((content) => JSON.stringify({ content })).join("\n")],
    gives: /no "?text"?|field/,
  },
  "CSV": {
    text: ["a.csv", `id,text\n${DOCUMENTS.map((text, i) => `${i},"${text}"`).join("\n")}\n`],
    gives: /CSV/,
  },
  "NULs": { text: ["text.txt", `${TEXT}\0\0${TEXT}`], gives: /NUL|binary|character 0/i },
  "Latin-1": {
    text: ["text.txt", new Uint8Array([...bytes(TEXT), 0xe9, 0x20, 0xe8])],
    gives: /Cannot read .*UTF-8/,
  },
  "an archive": {
    text: ["text.txt", new Uint8Array([0x50, 0x4b, 3, 4, ...bytes(TEXT)])],
    gives: /Cannot read .*zip/i,
  },
  "nothing": { text: ["text.txt", ""], gives: /empty|no text|no tokens|0 /i },
  "less than a window": { text: ["text.txt", "A small boat."], gives: /Cannot .*tokens/ },
  "weights without their prefix": {
    model: tensors((all) => {
      for (const [name, tensor] of [...all]) {
        if (!name.startsWith("model.")) continue;
        all.delete(name);
        all.set(name.slice("model.".length), tensor);
      }
    }),
    gives: "text",
    says: /model\./,
  },
  "another precision": {
    model: tensors((all) => {
      for (const [name, { shape, bytes }] of [...all]) {
        const half = new Float16Array(bytes.slice().buffer);
        const values = new Uint8Array(Float32Array.from(half).buffer);
        all.set(name, { dtype: "F32", shape, bytes: values });
      }
    }),
    gives: "text",
  },
  "a value that is none": { model: spoilt(NaN), gives: /Cannot .*q_proj.weight".*NaN/ },
  "an infinity": { model: spoilt(Infinity), gives: /Cannot .*q_proj.weight".*(infinit|Infinity)/i },
  "an adapter": {
    model: tensors((all) => void all.set(`base_model.${Q}.lora_A.weight`, vector(32, 1))),
    gives: /lora_A.*merge the adapter/,
  },
  "one layer more": { model: anotherLayer, gives: /model\.layers\.2\..* expected/ },
  "the same, ignored": { model: anotherLayer, set: ["fp16.unused=ignore"], gives: "text" },
  "a tensor that is not there": {
    model: tensors((all) => void all.delete(`${Q}.weight`)),
    gives: /Cannot .*q_proj/,
  },
  "a file cut short": {
    model: async (directory) => {
      const { size } = await Deno.stat(`${directory}/model.safetensors`);
      await Deno.truncate(`${directory}/model.safetensors`, size - 100);
    },
    gives: /Cannot .*model\.safetensors/,
  },
  "an unknown class": {
    model: config({ architectures: ["NobodyForCausalLM"], model_type: "nobody" }),
    gives: /NobodyForCausalLM/,
  },
  "an unknown activation": {
    model: config({ hidden_act: "swoosh" }),
    gives: /config\.json: hidden_act is "swoosh", expected "silu"/,
  },
  "an unknown scaling": {
    model: config({ rope_scaling: { rope_type: "spiral", factor: 2 } }),
    gives: /spiral/,
  },
  "windows beyond what it was trained on": { set: ["context=1024"], gives: /1024.*512/ },
  "no tokenizer": {
    model: (directory) => Deno.remove(`${directory}/tokenizer.json`),
    gives: /tokenizer/,
  },
};

/** A sound checkpoint: random weights, and a tokenizer of single bytes. */
async function writeSound(directory: string): Promise<void> {
  await writeFilled(directory, CONFIG);
  // The characters of bytes as GPT-2 has them.
  const shown = [...Array(256).keys()].filter((byte) =>
    byte > 32 && byte < 127 || byte > 160 && byte !== 173
  );
  const hidden = [...Array(256).keys()].filter((byte) => !shown.includes(byte));
  const letters = [
    ...shown.map((byte) => String.fromCodePoint(byte)),
    ...hidden.map((_, i) => String.fromCodePoint(256 + i)),
  ];
  const level = {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: true,
    use_regex: false,
  };
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [{
      id: 256,
      content: "<|end|>",
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    }],
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        {
          type: "Split",
          pattern: { Regex: ALL_LETTERS.Regex },
          behavior: "Isolated",
          invert: false,
        },
        level,
      ],
    },
    post_processor: null,
    decoder: level,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(letters.map((letter, id) => [letter, id])),
      merges: [],
    },
  };
  await Deno.writeTextFile(`${directory}/tokenizer.json`, JSON.stringify(tokenizer));
  const facts = { tokenizer_class: "PreTrainedTokenizerFast", eos_token: "<|end|>" };
  await Deno.writeTextFile(`${directory}/tokenizer_config.json`, JSON.stringify(facts));
}

const MANIFEST = fileURLToPath(new URL("../../configs/fp16.yaml", import.meta.url));
const PROGRAM = { stages, tools: openTools, facts: factsOf, bounds: boundsOf };

/** What a run of `configs/fp16.yaml` gives of an input: its perplexity, and all it says. */
async function outcome({ model, text = SOUND.text, set = [] }: Odd) {
  const place = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${place}/model`);
    await writeSound(`${place}/model`);
    await model?.(`${place}/model`);
    const [name, content] = text;
    const path = `${place}/${name}`;
    await Deno.writeFile(path, typeof content === "string" ? bytes(content) : content);
    const given = [`model=${place}/model`, `text=${path}`, "context=128", "windows=2", ...set];
    const { status, out, errors } = await callProgram(
      PROGRAM,
      ...["run", MANIFEST, "--store", `${place}/store`, "-v"],
      ...given.flatMap((setting) => ["--set", setting]),
    );
    const said = `${out}\n${errors}`;
    return { status, said, perplexity: /perplexity (\d[\d.]*)/.exec(said)?.[1] };
  } finally {
    await Deno.remove(place, { recursive: true });
  }
}

const sound = await outcome({});

for (const [name, odd] of Object.entries(INPUTS)) {
  Deno.test(`odd input: ${name}`, async () => {
    const { status, said, perplexity } = await outcome(odd);
    if (odd.gives instanceof RegExp) {
      assert.notEqual(status, 0, said);
      assert.equal(perplexity, undefined);
      assert.match(said, odd.gives);
      assert.match(said, /: Cannot [^\n]*([,:] expected | is missing)/);
      return;
    }
    assert.equal(status, 0, said);
    assert.ok(Number(perplexity) > 1, said);
    if (odd.gives) assert.equal(perplexity, sound.perplexity);
    else assert.notEqual(perplexity, sound.perplexity);
    if (odd.says) assert.match(said, odd.says);
  });
}
