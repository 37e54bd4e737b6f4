import { deepStrictEqual, ok } from "node:assert/strict";
import { parseManifest } from "../../pipeline/manifest/read_manifest.ts";
import { FileJournal } from "../../pipeline/store/journal.ts";
import { allRuns } from "../../pipeline/store/runs.ts";
import { sha256 } from "../../pipeline/store/hash.ts";
import { keyOf } from "../../pipeline/store/key.ts";
import { sealedRecord } from "../../pipeline/store/record.ts";
import { Store } from "../../pipeline/store/store.ts";
import { openDocuments } from "../../stages/data/documents.ts";
import { describePath } from "../../stages/describe/describe.ts";
import { openImport } from "../../stages/exchange/incoming/open_import.ts";
import { ChatTemplate } from "../../stages/jinja/template.ts";
import * as stages from "../../stages/mod.ts";
import { openTokenizer } from "../../stages/models/tokenizer.ts";
import { serveOptions } from "../../stages/serve/options.ts";
import { READ, type ReadingKind } from "../../stages/serve/read.ts";
import { readTokenizer } from "../../stages/formats/tokenizers/read_tokenizer.ts";
import { ggufBytes } from "../support/gguf_file.ts";
import { embeddedTokenizer } from "../support/server_stub.ts";
import { writeTokenized } from "../support/tiny_tokenizer.ts";

/** A reader of what strangers hand in. */
export interface FuzzTarget {
  /** Words of its format. */
  readonly words: readonly string[];
  /** Inputs that are fine, from which others are made; they may write into the directory. */
  seeds(directory: string): Promise<readonly Uint8Array[]>;
  /** Reads an input; throws an error whose message is a sentence, or none. */
  read(bytes: Uint8Array<ArrayBuffer>, directory: string): Promise<void>;
}

const UTF8 = new TextEncoder();
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const texts = (...some: readonly string[]) => some.map((text) => UTF8.encode(text));
const TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content | trim }}\n{% endfor %}";

/** A checkpoint of which one file is replaced. */
function checkpointFile(name: string, words: readonly string[]): FuzzTarget {
  return {
    words,
    async seeds(directory) {
      await writeTokenized(directory, { ends: [2, 3], template: TEMPLATE });
      return [await Deno.readFile(`${directory}/${name}`)];
    },
    async read(bytes, directory) {
      const before = await Deno.readFile(`${directory}/${name}`);
      await Deno.writeFile(`${directory}/${name}`, bytes);
      try {
        await readCheckpoint(directory);
      } finally {
        await Deno.writeFile(`${directory}/${name}`, before);
      }
    },
  };
}

/** Everything that is asked of a checkpoint before weights are read; the last error is thrown. */
async function readCheckpoint(path: string): Promise<void> {
  const tries = [
    () => describePath(path, { deep: true }),
    async () => void (await openImport(path))[Symbol.dispose](),
    async () => {
      const files = await readTokenizer(path);
      if (files) useTokenizer(files);
    },
  ];
  let last: unknown;
  for (const one of tries) {
    try {
      await one();
    } catch (error) {
      if (!isSentence(error)) throw error;
      last = error;
    }
  }
  if (last !== undefined) throw last;
}

const SAMPLES = ["", "a b c", "<|im_start|>abc<|im_end|>", "e\u0301\ud83d\udc08 \n\t 12 日本"];

function useTokenizer(files: Parameters<typeof openTokenizer>[0]): void {
  const tokenizer = openTokenizer(files);
  for (const text of SAMPLES) tokenizer.decode(tokenizer.encode(text, { special: true }));
}

/** Texts of others in a file of any kind. */
function documents(
  seeds: () => Promise<readonly Uint8Array[]>,
  words: readonly string[],
): FuzzTarget {
  return {
    words,
    seeds,
    async read(bytes, directory) {
      const path = `${directory}/texts`;
      await Deno.writeFile(path, bytes);
      await using file = await openDocuments(path);
      let left = 200;
      for await (const _ of file.documents()) if (--left === 0) break;
    },
  };
}

const testdata = (name: string) => Deno.readFile(new URL(`../testdata/${name}`, import.meta.url));

const SCHEMA = {
  type: "object",
  properties: {
    a: { type: "string", pattern: "^[a-c]{2,3}(x|y)?$" },
    b: { anyOf: [{ $ref: "#/$defs/d" }, { type: "number", minimum: -1.5, maximum: 7 }] },
  },
  required: ["a"],
  $defs: { d: { type: "array", items: { enum: [1, "two", null] }, minItems: 1, maxItems: 3 } },
};

const REQUESTS: Readonly<Record<ReadingKind, readonly unknown[]>> = {
  completions: [
    {
      prompt: "a cat",
      max_tokens: 4,
      temperature: 0.5,
      stop: ["x"],
      logit_bias: { 5: 1 },
      seed: 1,
    },
    { prompt: [[1, 2], [3]], n: 2, echo: true, logprobs: 3, stream: true },
  ],
  chat: [{
    messages: [{ role: "system", content: "a" }, {
      role: "user",
      content: [{ type: "text", text: "b" }],
    }],
    top_logprobs: 2,
    logprobs: true,
    response_format: { type: "text" },
    stream_options: { include_usage: true },
  }, {
    messages: [{ role: "user", content: "a" }],
    tools: [{ type: "function", function: { name: "f", parameters: SCHEMA } }],
    tool_choice: "required",
  }, {
    messages: [{ role: "user", content: "a" }],
    response_format: { type: "json_schema", json_schema: { name: "n", schema: SCHEMA } },
  }],
  embeddings: [{ input: ["a", "b"], pooling: "last" }, {
    input: [[1, 2], [3]],
    encoding_format: "base64",
  }],
  messages: [{
    max_tokens: 4,
    system: [{ type: "text", text: "a" }],
    messages: [{ role: "user", content: "b" }, {
      role: "assistant",
      content: [{ type: "tool_use", id: "1", name: "look", input: { at: 1 } }],
    }, {
      role: "user",
      content: [{ type: "tool_result", tool_use_id: "1", content: "c" }],
    }],
    tools: [{ name: "look", input_schema: { type: "object", properties: {} } }],
    tool_choice: { type: "auto" },
  }, {
    max_tokens: 4,
    system: "a",
    messages: [{ role: "user", content: [{ type: "tool_result", tool_use_id: "t" }] }],
    tools: [{ name: "f", input_schema: SCHEMA }],
    tool_choice: { type: "any" },
  }, {
    max_tokens: 4,
    messages: [{ role: "user", content: "a" }],
    output_config: { format: { type: "json_schema", schema: SCHEMA }, effort: "low" },
    thread: null,
    mcp_servers: [],
  }],
  messageCount: [{
    system: "a",
    messages: [{ role: "user", content: [{ type: "text", text: "b" }] }],
    tools: [{ name: "f", input_schema: SCHEMA }],
    tool_choice: { type: "auto" },
  }],
  responses: [{ input: "a cat", max_output_tokens: 4 }, {
    instructions: "a",
    input: [
      { role: "user", content: [{ type: "input_text", text: "b" }] },
      { type: "function_call", call_id: "1", name: "look", arguments: "{}" },
      { type: "function_call_output", call_id: "1", output: "c" },
    ],
    tools: [{ type: "function", name: "look", parameters: { type: "object" } }],
  }, {
    input: [{ role: "user", content: "b" }],
    text: { format: { type: "json_schema", name: "d", schema: { type: "object" } } },
  }, {
    input: [{ type: "function_call", call_id: "c", name: "f", arguments: "{}" }],
    tools: [{ type: "function", name: "f", parameters: SCHEMA }],
    text: { format: { type: "json_object" } },
  }],
  tokenize: [{ prompt: "a cat", add_special_tokens: true }, { messages: [] }],
  detokenize: [{ tokens: [1, 2, 3] }],
};

const OPTIONS = serveOptions.parse({});
const served = lazily(() => embeddedTokenizer(TEMPLATE));

/** A request of one kind. */
function request(kind: ReadingKind): FuzzTarget {
  return {
    words: ["prompt", "messages", "n", "stop", "logit_bias", "suffix", "user", "tools", "role"],
    seeds: () => Promise.resolve(texts(...REQUESTS[kind].map((one) => JSON.stringify(one)))),
    async read(bytes) {
      const tokenizer = await served();
      READ[kind](bytes, { tokenizer, card: { name: "m" }, options: OPTIONS, context: 256 });
    },
  };
}

const JOURNAL = new TextEncoder().encode("what a layer gave");
const KEY = "a".repeat(64);

const MADE = "what was made";
const RECIPE = { stage: "a", version: 1, params: {}, inputs: {} };
const RECORD = sealedRecord({
  key: keyOf(RECIPE),
  kind: "report",
  recipe: RECIPE,
  files: [{ path: "a.txt", size: MADE.length, sha256: sha256(MADE) }],
  seconds: 1,
  scores: { a: 1 },
  notes: [{ text: "a note" }],
});
const RUN = {
  id: "a",
  manifest: "/a.yaml",
  started: "2026-01-01T00:00:00.000Z",
  state: "done",
  steps: [{ name: "a", state: "made", key: RECORD.key, recipe: RECIPE, digest: RECORD.digest }],
  scores: [],
};

/** All readers of what strangers hand in, and of what lies in a store. */
export const TARGETS: Readonly<Record<string, FuzzTarget>> = {
  completions: request("completions"),
  chat: request("chat"),
  embeddings: request("embeddings"),
  messages: request("messages"),
  responses: request("responses"),
  tokenize: request("tokenize"),
  messageCount: request("messageCount"),
  detokenize: request("detokenize"),
  manifest: {
    words: [
      "steps",
      "stage: load",
      "with:",
      "from:",
      "matrix:",
      "extends: /dev/zero",
      "${a}",
      "*a",
    ],
    async seeds() {
      const config = new URL("../../configs/", import.meta.url);
      const names = [...Deno.readDirSync(config)].map(({ name }) => name)
        .filter((name) => name.endsWith(".yaml")).sort();
      return await Promise.all(names.map((name) => Deno.readFile(new URL(name, config))));
    },
    read: (bytes) =>
      Promise.try(() => {
        const none = () => {
          throw new Error("there is no such file");
        };
        parseManifest(textOf(bytes), { path: "a.yaml", stages, read: none });
      }),
  },
  config: checkpointFile("config.json", ["rope_scaling", "quantization_config", "llama3", "gptq"]),
  tokenizer: checkpointFile("tokenizer.json", [
    ...["Sequence", "Split", "Regex", "ByteLevel", "Metaspace", "Replace", "NFC", "Prepend"],
    ...["(a+)+", "\\p{L}", "[", "(?=", "merges", "vocab", "added_tokens", "Unigram", "WordPiece"],
  ]),
  tokenizer_config: checkpointFile("tokenizer_config.json", ["chat_template", "eos_token"]),
  safetensors: checkpointFile("model.safetensors", [
    ...["F16", "BF16", "F4", "__metadata__", "data_offsets", "shape", "dtype", "{", "}", "["],
  ]),
  model_record: {
    ...checkpointFile("model.json", ["history", "linears", "kv", "lineage", "version"]),
    async seeds(directory) {
      await writeTokenized(directory, { ends: [2] });
      const record = {
        version: 1,
        history: [{ stage: "rotate", params: {} }],
        lineage: [],
        hadamard: ["mlp.out"],
        linears: {
          "model.layers.0.self_attn.q_proj": {
            weights: { bits: 4, zero: "none", group: 8, levels: 1 },
            inputs: { bits: 8, range: "dynamic" },
          },
        },
        kv: [],
        measured: { linears: {}, kv: [] },
      };
      const text = JSON.stringify(record);
      await Deno.writeTextFile(`${directory}/model.json`, text);
      return texts(text);
    },
  },
  gguf: {
    words: ["GGUF", "tokenizer.ggml.tokens", "general.alignment", "split.count", "llama"],
    seeds() {
      const metadata = {
        "general.architecture": { text: "llama" },
        "llama.block_count": { u32: 1 },
        "llama.embedding_length": { u32: 32 },
        "llama.feed_forward_length": { u32: 32 },
        "llama.attention.head_count": { u32: 1 },
        "llama.attention.layer_norm_rms_epsilon": { f32: 1e-5 },
        "llama.context_length": { u32: 64 },
        "tokenizer.ggml.model": { text: "gpt2" },
        "tokenizer.ggml.pre": { text: "gpt-2" },
        "tokenizer.ggml.tokens": { texts: ["a", "b", "ab", "<s>"] },
        "tokenizer.ggml.token_type": { i32s: [1, 1, 1, 3] },
        "tokenizer.ggml.merges": { texts: ["a b"] },
      };
      const tensor = (name: string, ...shape: number[]) => ({
        name,
        shape,
        type: 1,
        bytes: new Uint8Array(2 * shape.reduce((a, b) => a * b)),
      });
      const layer = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]
        .map((name) => tensor(`blk.0.${name}.weight`, 32, 32));
      const norms = ["attn_norm", "ffn_norm"].map((name) => tensor(`blk.0.${name}.weight`, 32));
      const tensors = [
        tensor("token_embd.weight", 4, 32),
        tensor("output_norm.weight", 32),
        ...layer,
        ...norms,
      ];
      return Promise.resolve([ggufBytes({ metadata, tensors })]);
    },
    async read(bytes, directory) {
      const path = `${directory}/a.gguf`;
      await Deno.writeFile(path, bytes);
      await readCheckpoint(path);
    },
  },
  torch: {
    words: ["collections\nOrderedDict", "torch\nHalfStorage", "cos\nsystem", "\x80\x02", "."],
    seeds: async () => [await testdata("torch/tensors_2.pt"), await testdata("torch/legacy.pt")],
    async read(bytes, directory) {
      const path = `${directory}/a.pt`;
      await Deno.writeFile(path, bytes);
      await Deno.writeTextFile(`${directory}/config.json`, "{}");
      await (await openImport(path))[Symbol.dispose]();
    },
  },
  template: {
    words: [
      ...["{%", "%}", "{{", "}}", "for x in range(9)", "set a = a ~ a", "if", "else", "endfor"],
      ...["macro f(x)", "f(1)", "| tojson", "| length", ".__class__", "namespace(a=1)", "[::-1]"],
      ...["**", "//", "%", "~", "is defined", "caller()", "call", "loop.index", "strftime_now"],
    ],
    async seeds() {
      const { library } = JSON.parse(textOf(await testdata("chat_templates.json")));
      ok(library !== undefined);
      const all = JSON.parse(textOf(await testdata("chat_templates.json")));
      const found: string[] = [];
      const gather = (value: unknown) => {
        if (typeof value === "string" && value.includes("{%") && value.length < 6000) {
          found.push(value);
        } else if (typeof value === "object" && value !== null) {
          Object.values(value).forEach(gather);
        }
      };
      gather(all);
      return texts(TEMPLATE, ...found);
    },
    read: (bytes) =>
      Promise.try(() => {
        const messages = [{ role: "user", content: "Hello" }, { role: "assistant", content: "Hi" }];
        const variables = { messages, tools: null, bos_token: "<s>", add_generation_prompt: true };
        new ChatTemplate(textOf(bytes)).render(variables);
      }),
  },
  parquet: documents(
    () => Promise.all([testdata("rows_snappy.parquet"), testdata("rows_zstd.parquet")]),
    ["PAR1", "text"],
  ),
  json_lines: documents(
    () =>
      Promise.resolve(texts(
        '{"text":"a"}\n{"text":"b"}\n',
        '[{"text":"a"},{"text":"b"}]',
        '{"messages":[{"role":"user","content":"a"}]}\n',
        "plain text\n",
      )),
    ["text", "messages", "conversations", "\n", "[", "{", "\x1f\x8b\x08", "\x28\xb5\x2f\xfd"],
  ),
  journal: {
    words: [KEY, "\n", "layer"],
    async seeds(directory) {
      const place = journalIn(directory);
      await using journal = new FileJournal(place, KEY);
      await journal.write("layer", JOURNAL);
      return [await Deno.readFile(await entryIn(place))];
    },
    async read(bytes, directory) {
      const place = journalIn(directory);
      await Deno.writeFile(await entryIn(place), bytes);
      const found = await new FileJournal(place, KEY).read("layer");
      if (found !== undefined) deepStrictEqual([...found], [...JOURNAL]);
    },
  },
  store: {
    words: ["files", "digest", "seal", "recipe", "version", "sha256"],
    seeds: () => Promise.resolve(texts(JSON.stringify(RECORD), JSON.stringify(RUN))),
    async read(bytes, directory) {
      const store = `${directory}/store`;
      const place = `${store}/artifacts/${RECORD.key}`;
      await Deno.mkdir(place, { recursive: true });
      await Deno.writeTextFile(`${place}/a.txt`, MADE);
      await Deno.writeFile(`${place}/artifact.json`, bytes);
      const found = await new Store(store, { verify: "full" }).inspect(RECORD.key);
      // What is taken for whole says what was sealed, in whatever order.
      if (found.state === "whole") deepStrictEqual(found.stored.record, RECORD);
      await Deno.mkdir(`${store}/runs/m`, { recursive: true });
      await Deno.writeFile(`${store}/runs/m/a.json`, bytes);
      await allRuns(store);
    },
  },
};

function journalIn(directory: string): string {
  return `${directory}/store/journal/${KEY}`;
}

async function entryIn(journal: string): Promise<string> {
  const names = await Array.fromAsync(Deno.readDir(journal), ({ name }) => name);
  return `${journal}/${names.find((name) => name.startsWith("layer"))!}`;
}

/** What the engine says where a program has not looked. */
const RAW = new RegExp(
  [
    "Cannot (read|set|delete|add|create|define|redefine) propert",
    "Cannot (convert (undefined|null|object|a )|destructure|mix BigInt|assign to|use 'in')",
    "is not (a |an )?(function|iterable|constructor|defined)",
    "reading '",
    "call stack",
    "Invalid (array|string|typed|time|count|regular|DataView)",
    "^\\S+ out of (range|bounds)",
    "\\[object ",
    "Offset is",
    "allocation failed",
    "^Unexpected ",
    "^(undefined|null)",
  ].join("|"),
);

/** Whether an error is one that is told: a sentence, and nothing of the engine's own. */
export function isSentence(error: unknown): boolean {
  if (!(error instanceof Error) || error.name === "AssertionError") return false;
  if (error instanceof Deno.errors.NotCapable) return false;
  const { message, name } = error;
  // They quote Python.
  if (name === "TemplateError") return message !== "";
  if (name === "ApiError") {
    const { status } = error as Error & { readonly status: number };
    if (status < 400 || status > 499) return false;
  }
  return message !== "" && !/\n\s+at /.test(message) && !RAW.test(message.slice(0, 400));
}

function lazily<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => made ??= make();
}
