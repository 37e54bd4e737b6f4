import { gguf } from "@huggingface/gguf";
import assert from "node:assert/strict";
import type { Checkpoint } from "../../../../stages/formats/checkpoint.ts";
import { dequantizeBlocks } from "../../../../stages/formats/gguf/dequantize.ts";
import { checkpointSources } from "../../../../stages/models/checkpoint_place.ts";
import { GGUF_CLASSES, openCheckpoint } from "../../../../stages/models/open_checkpoint.ts";
import {
  type Entry,
  ggufBytes,
  type GgufContent,
  type GgufPart,
} from "../../../support/gguf_file.ts";
import { temporary } from "../../../support/directory.ts";
import { normals } from "../../../support/random.ts";
import blocks from "../../../testdata/gguf_blocks.json" with { type: "json" };

/** The architectures of llama.cpp that are read. */
const KNOWN = [...new Set(GGUF_CLASSES.map(({ architecture }) => architecture))];

const HIDDEN = 32;
const HEADS = 4;
const KV_HEADS = 2;
const HEAD = 8;
const VOCABULARY = 6;

/** Types as ggml numbers them. */
const F32 = 0;
const Q5_0 = 6;
const Q8_0 = 8;
const Q8_K = 15;

for (const { type, blocks: stored, values } of blocks) {
  Deno.test(`\`dequantizeBlocks()\` gives the values of the gguf package for blocks of ${type}`, () => {
    const read = dequantizeBlocks(type, fromHex(stored));
    assert.deepEqual(new Uint8Array(read.buffer), fromHex(values));
  });
}

Deno.test("`openCheckpoint()` reads a GGUF file under transformers' names, shapes and row order", async () => {
  const weights = tinyWeights();
  await using file = await temporaryGguf(tinyModel({ weights }));
  using checkpoint = await openCheckpoint(file.path);
  assert.equal(checkpoint.tensors.size, weights.size);
  for (const [name, { shape, values }] of weights) {
    assert.deepEqual(checkpoint.tensors.get(name)?.shape, shape, name);
    assert.deepEqual(await checkpoint.read(name), values, name);
  }
  assert.deepEqual(checkpoint.sources, [file.path]);
  assert.deepEqual(await checkpointSources(file.path), [file.path]);
});

Deno.test("`Checkpoint.read()` gives rows of permuted tensors wherever the range begins", async () => {
  const weights = tinyWeights();
  await using file = await temporaryGguf(tinyModel({ weights }));
  using checkpoint = await openCheckpoint(file.path);
  for (const part of ["q_proj.weight", "k_proj.weight", "q_proj.bias", "v_proj.weight"]) {
    const name = `model.layers.0.self_attn.${part}`;
    const { shape: [rows = 0], values } = weights.get(name)!;
    const width = values.length / rows;
    for (
      const [start, end] of [[0, 1], [3, 5], [7, 9], [0, rows], [rows - 3, rows], [4, 4]] as const
    ) {
      const read = await checkpoint.read(name, { start, end });
      assert.deepEqual(read, values.slice(start * width, end * width), `${name} ${start}-${end}`);
    }
  }
});

Deno.test("`Checkpoint.read()` undoes the permutation of quantized rows", async () => {
  const content = tinyModel({});
  const name = "blk.0.attn_q.weight";
  const rowBytes = 34;
  const bytes = new Uint8Array(HEADS * HEAD * rowBytes);
  for (let row = 0; row < HEADS * HEAD; row++) {
    bytes.set(new Uint8Array(new Float16Array([1]).buffer), row * rowBytes);
    bytes.fill(row, row * rowBytes + 2, (row + 1) * rowBytes);
  }
  await using file = await temporaryGguf(
    replaced(content, { name, shape: [HEADS * HEAD, HIDDEN], type: Q8_0, bytes }),
  );
  using checkpoint = await openCheckpoint(file.path);
  const read = await checkpoint.read("model.layers.0.self_attn.q_proj.weight");
  const firstHead = Array.from({ length: HEAD }, (_, row) => read[row * HIDDEN]);
  assert.deepEqual(firstHead, [0, 2, 4, 6, 1, 3, 5, 7]);
  assert.equal(read[(HEAD + 4) * HIDDEN], HEAD + 1);
  const raw = await checkpoint.readRaw("model.layers.0.self_attn.q_proj.weight", {
    start: 4,
    end: 5,
  });
  assert.deepEqual(raw, bytes.slice(rowBytes, 2 * rowBytes));
});

Deno.test("`openCheckpoint()` leaves the rows of qwen2 as they are", async () => {
  const weights = tinyWeights();
  await using file = await temporaryGguf(tinyModel({ weights, architecture: "qwen2" }));
  using checkpoint = await openCheckpoint(file.path);
  const name = "model.layers.0.self_attn.q_proj.weight";
  assert.deepEqual(await checkpoint.read(name), weights.get(name)!.values);
  assert.deepEqual((checkpoint.config as { architectures: string[] }).architectures, [
    "Qwen2ForCausalLM",
  ]);
});

Deno.test("`openCheckpoint()` rebuilds the configuration of a GGUF file", async () => {
  await using file = await temporaryGguf(tinyModel({}));
  using checkpoint = await openCheckpoint(file.path);
  assert.deepEqual(checkpoint.config, {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: VOCABULARY,
    hidden_size: HIDDEN,
    intermediate_size: 64,
    num_hidden_layers: 1,
    num_attention_heads: HEADS,
    num_key_value_heads: KV_HEADS,
    head_dim: HEAD,
    hidden_act: "silu",
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    rope_scaling: null,
    tie_word_embeddings: true,
    attention_bias: true,
    mlp_bias: false,
    eos_token_id: 2,
    torch_dtype: "float32",
  });
  assert.equal(checkpoint.tokenizer, undefined);
});

Deno.test("`openCheckpoint()` says an untied head, linear scaling and a longer head", async () => {
  const head = { name: "output.weight", shape: [VOCABULARY, HIDDEN], values: floats("head", 192) };
  const config = await configOf(
    replaced(
      tinyModel({
        "llama.rope.scaling.type": { text: "linear" },
        "llama.rope.scaling.factor": { f32: 4 },
        "llama.rope.dimension_count": { u32: 16 },
        "llama.attention.key_length": { u32: 16 },
        "llama.attention.value_length": { u32: 16 },
      }),
      { ...head, type: F32, bytes: bytesOf(head.values) },
    ),
  );
  assert.equal(config["tie_word_embeddings"], false);
  assert.equal(config["head_dim"], 16);
  assert.deepEqual(config["rope_scaling"], { rope_type: "linear", factor: 4 });
});

Deno.test("`openCheckpoint()` recognizes llama3 scaling by its frequency factors", async () => {
  const base = tinyModel({
    "llama.rope.freq_base": { f32: 500_000 },
    "llama.rope.dimension_count": { u32: 16 },
  });
  const with_ = (factors: readonly number[]) =>
    replaced(base, {
      name: "rope_freqs.weight",
      shape: [factors.length],
      type: F32,
      bytes: bytesOf(new Float32Array(factors)),
    });
  // Unscaled over scaled frequencies, from transformers' own llama3 rule at theta 500,000, heads of 16.
  const smooth = { 8: 2.6945302486419678, 32: 3.292262554168701 };
  for (const factor of [8, 32] as const) {
    const factors = [1, 1, 1, 1, smooth[factor], factor, factor, factor];
    assert.deepEqual((await configOf(with_(factors)))["rope_scaling"], {
      rope_type: "llama3",
      factor,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    });
  }
  assert.equal((await configOf(with_(new Array(8).fill(1))))["rope_scaling"], null);
  await refuses(
    with_([1, 1, 1, 1, 3, 8, 8, 8]),
    (path) =>
      `Cannot read tensor "rope_freqs.weight" of "${path}": its factors up to 8 are not those of ` +
      `llama3 scaling over 8192 positions, expected them to be`,
  );
});

Deno.test("`openCheckpoint()` agrees with @huggingface/gguf on names, shapes and metadata", async () => {
  const content = tinyModel({});
  await using file = await temporaryGguf(content);
  using checkpoint = await openCheckpoint(file.path);
  const { metadata, tensorInfos } = await gguf(file.path, { allowLocalFile: true });
  assert.equal((metadata as Record<string, unknown>)["llama.embedding_length"], HIDDEN);
  assert.deepEqual(
    tensorInfos.map(({ shape }) => shape.map(Number).reverse()),
    [...checkpoint.tensors.values()].map(({ shape }) => shape),
  );
});

Deno.test("`openCheckpoint()` refuses files that are no GGUF or end too early", async () => {
  const bytes = ggufBytes(tinyModel({}));
  await using file = await temporaryFile(bytes);
  const fails = (message: string) =>
    assert.rejects(openCheckpoint(file.path), (error: Error) => {
      assert.equal(error.message, message);
      return true;
    });
  const hint = "(it is truncated, fetch it again)";
  for (const length of [0, 3, 20, 700]) {
    await Deno.writeFile(file.path, bytes.slice(0, length));
    await fails(
      `Cannot read the metadata of "${file.path}": the file ends after ${length} bytes, expected ` +
        `more ${hint}`,
    );
  }
  const last = tinyModel({}).tensors.at(-1)!;
  const padding = Math.ceil(last.bytes.length / 32) * 32 - last.bytes.length;
  const needed = bytes.length - padding;
  await Deno.writeFile(file.path, bytes.slice(0, needed - 1));
  await fails(
    `Cannot read tensor "${last.name}" of "${file.path}": the file has ${needed - 1} bytes, ` +
      `expected at least ${needed} ${hint}`,
  );
  await Deno.writeTextFile(file.path, "version https://git-lfs.github.com/spec/v1");
  await fails(`Cannot read "${file.path}": it does not begin with "GGUF", expected it to`);
  await Deno.writeFile(file.path, bytes.with(4, 1));
  await fails(`Cannot read "${file.path}": its GGUF version is 1, expected 2 or 3`);
});

Deno.test("`openCheckpoint()` refuses architectures and scalings it does not know", async () => {
  await refuses(
    tinyModel({ architecture: "mamba" }),
    (path) =>
      `Cannot open "${path}": its general.architecture is "mamba", expected one of ${
        KNOWN.join(", ")
      }`,
  );
  await refuses(
    tinyModel({ "llama.expert_count": { u32: 8 } }),
    (path) => `Cannot read the configuration of "${path}": no llama.expert_used_count, expected it`,
  );
  await refuses(
    tinyModel({ "llama.rope.scaling.type": { text: "ntk" } }),
    (path) =>
      `Cannot open "${path}": its llama.rope.scaling.type is "ntk", expected none, linear, yarn or longrope`,
  );
  await refuses(
    tinyModel({
      "llama.rope.dimension_count": { u32: 4 },
      "llama.attention.key_length": { u32: 8 },
    }),
    (path) =>
      `Cannot open "${path}": heads of 8 with values of 8 and 4 rotary dimensions, expected one ` +
      `even size`,
  );
});

Deno.test("`openCheckpoint()` refuses tensors it cannot read, naming file, tensor and type", async () => {
  const bytes = new Uint8Array(292 * 6);
  const name = "token_embd.weight";
  const readable =
    "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL, MXFP4, Q2_K, Q3_K, Q4_K, " +
    "Q5_K, Q6_K, IQ4_XS";
  await refuses(
    replaced(tinyModel({}), { name, shape: [6, 256], type: Q8_K, bytes }),
    (path) =>
      `Cannot read tensor "${name}" of "${path}": its type is Q8_K, expected one of ${readable}`,
  );
  await refuses(
    replaced(tinyModel({}), { name, shape: [6, 32], type: 99, bytes }),
    (path) =>
      `Cannot read tensor "${name}" of "${path}": its type is number 99, expected one of ${readable}`,
  );
  await refuses(
    replaced(tinyModel({}), { name, shape: [6, 33], type: Q8_0, bytes }),
    (path) =>
      `Cannot read tensor "${name}" of "${path}": rows of 33 in Q8_0, expected a multiple of 32`,
  );
  const { metadata, tensors } = tinyModel({});
  await refuses(
    { metadata, tensors: tensors.filter((tensor) => tensor.name !== name) },
    (path) =>
      `Cannot read tensor "model.embed_tokens.weight" of "${path}": there is none, expected it ` +
      `among its ${tensors.length - 1} tensors`,
  );
});

Deno.test("`openCheckpoint()` lists tensors of a GGUF file that no family has under their own names", async () => {
  const name = "blk.0.nextn.eh_proj.weight";
  await using file = await temporaryGguf(
    replaced(tinyModel({}), { name, shape: [1, 256], type: Q8_K, bytes: new Uint8Array(292) }),
  );
  using checkpoint = await openCheckpoint(file.path);
  assert.deepEqual(checkpoint.tensors.get(name), {
    name,
    dtype: "Q8_K",
    shape: [1, 256],
    file: file.path,
  });
  await assert.rejects(checkpoint.read(name), { name: "TypeError" });
});

Deno.test("`openCheckpoint()` reads rows of Q5_0, of which files of narrow models mostly are", async () => {
  const { blocks: stored, values } = blocks.find(({ type }) => type === "Q5_0")!;
  const [bytes, floats] = [fromHex(stored), new Float32Array(fromHex(values).buffer)];
  const name = "blk.0.attn_v.weight";
  // Three blocks of the gguf package, over and over.
  const rows = Uint8Array.from({ length: 22 * 16 }, (_, i) => bytes[i % bytes.length]!);
  await using file = await temporaryGguf(
    replaced(tinyModel({}), { name, shape: [16, HIDDEN], type: Q5_0, bytes: rows }),
  );
  using checkpoint = await openCheckpoint(file.path);
  const expected = Float32Array.from({ length: 16 * HIDDEN }, (_, i) => floats[i % floats.length]!);
  const read = "model.layers.0.self_attn.v_proj.weight";
  assert.deepEqual(await checkpoint.read(read), expected);
  assert.deepEqual(
    await checkpoint.read(read, { start: 4, end: 6 }),
    expected.slice(4 * HIDDEN, 6 * HIDDEN),
  );
});

Deno.test("`openCheckpoint()` refuses a model of no heads, layers or sizes", async () => {
  const counts = [
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "context_length",
  ];
  for (const key of counts) {
    await refuses(
      tinyModel({ [`llama.${key}`]: { u32: 0 } }),
      (path) =>
        `Cannot read the configuration of "${path}": llama.${key} is 0, expected a count of at ` +
        "least 1",
    );
  }
  // Nothing else says how large heads are.
  const content = tinyModel({ "llama.attention.head_count": { u32: 0 } });
  const { "llama.rope.dimension_count": _, ...metadata } = content.metadata;
  await refuses(
    { ...content, metadata },
    (path) =>
      `Cannot read the configuration of "${path}": llama.attention.head_count is 0, expected a ` +
      "count of at least 1",
  );
  await refuses(
    tinyModel({ "llama.rope.dimension_count": { u32: 0 } }),
    (path) =>
      `Cannot open "${path}": heads of 0 with values of 0 and 0 rotary dimensions, expected one ` +
      "even size",
  );
});

Deno.test("`openCheckpoint()` refuses metadata that is missing or of another type", async () => {
  const content = tinyModel({});
  const { "llama.context_length": _, ...metadata } = content.metadata;
  await refuses(
    { ...content, metadata },
    (path) => `Cannot read the configuration of "${path}": no llama.context_length, expected it`,
  );
  await refuses(
    tinyModel({ "llama.attention.head_count": { i32s: [4, 4] } }),
    (path) =>
      `Cannot read the metadata "llama.attention.head_count" of "${path}": it is a list of 2, ` +
      `expected a number`,
  );
});

Deno.test("`openCheckpoint()` reads all parts of a split file, whichever is named", async () => {
  await using directory = await temporary();
  const weights = tinyWeights();
  const paths = await writeSplit(directory.path, tinyModel({ weights }));
  for (const path of paths) {
    using checkpoint = await openCheckpoint(path);
    for (const [name, { values }] of weights) {
      assert.deepEqual(await checkpoint.read(name), values, name);
    }
    assert.equal(checkpoint.tensors.size, weights.size);
    assert.deepEqual(checkpoint.sources, paths);
    assert.deepEqual(await checkpointSources(path), paths);
  }
});

Deno.test("`openCheckpoint()` refuses parts that are missing, are others, or are called otherwise", async () => {
  await using directory = await temporary();
  const [first, second, third] = await writeSplit(directory.path, tinyModel({})) as [
    string,
    string,
    string,
  ];
  const fails = (path: string, message: string) =>
    assert.rejects(openCheckpoint(path), { name: "TypeError", message });
  await Deno.rename(second, `${second}.kept`);
  await fails(first, `Cannot open "${second}": there is no such file, expected part 2 of 3`);
  await Deno.copyFile(third, second);
  await fails(
    first,
    `Cannot read "${second}": its metadata says part 3 of 3, expected 2 of 3 as its name says`,
  );
  await Deno.rename(`${second}.kept`, second);
  const other = `${directory.path}/other.gguf`;
  await Deno.copyFile(first, other);
  await fails(
    other,
    `Cannot open "${other}": it is one of 3 parts, expected a name that ends in ` +
      `"-00001-of-00003.gguf", with the other parts beside it`,
  );
  const { metadata, tensors } = tinyModel({});
  const whole = (tensors: GgufContent["tensors"]) => ({
    metadata: { ...metadata, "split.tensors.count": { u32: 13 } },
    tensors,
  });
  await writeSplit(directory.path, whole(tensors.slice(1)));
  await fails(
    first,
    `Cannot read "${first}": its 3 parts hold 12 tensors, expected 13 as split.tensors.count says`,
  );
  await writeSplit(directory.path, whole([...tensors, tensors[0]!]));
  await fails(
    first,
    `Cannot read "${third}": it holds tensor "token_embd.weight", which lies in "${first}" too, ` +
      `expected each once`,
  );
});

/** What a list of tensors says wrongly, by the message, with how the list is spoilt. */
const LISTS: readonly (readonly [message: RegExp, spoil: (list: Listed[]) => void])[] = [
  [/^Cannot read ".*": it lists tensor "token_embd\.weight" twice, expected each once$/, (list) => {
    list[3]!.name = "token_embd.weight";
  }],
  [
    /^Cannot read tensor "blk\.0\.attn_q\.bias" of ".*": it begins at byte \d+ of the tensors, expected a multiple of 32$/,
    (list) => void (list[3]!.start += 8),
  ],
  [
    /^Cannot read tensor "blk\.0\.attn_q\.bias" of ".*": it begins at byte \d+ of the tensors, inside "blk\.0\.attn_q\.weight", expected byte \d+ or more$/,
    (list) => void (list[3]!.start -= 32),
  ],
  [
    /^Cannot read tensor "output_norm\.weight" of ".*": it begins at byte 0 of the tensors, inside "token_embd\.weight", expected byte 768 or more$/,
    (list) => void (list.at(-1)!.start = 0),
  ],
  [
    /^Cannot read tensor "output_norm\.weight" of ".*": the file has \d+ bytes, expected at least \d+ \(it is truncated, fetch it again\)$/,
    (list) => void (list.at(-1)!.start += 2 ** 20),
  ],
  [
    /^Cannot read tensor "output_norm\.weight" of ".*": the file has \d+ bytes, expected at least \d+ /,
    (list) => void (list.at(-1)!.start = 2 ** 62),
  ],
];

for (const [message, spoil] of LISTS) {
  Deno.test(`\`openCheckpoint()\` refuses a list of tensors that contradicts itself: ${message.source.slice(-60)}`, async () => {
    await using file = await temporaryFile(withList(tinyModel({}), spoil));
    await assert.rejects(openCheckpoint(file.path), { message });
  });
}

/** A tensor as a header lists it. */
interface Listed {
  name: string;
  start: number;
}

/** The bytes of a GGUF file with a list of tensors that says something else; names keep their length. */
function withList(content: GgufContent, spoil: (list: Listed[]) => void): Uint8Array<ArrayBuffer> {
  const bytes = ggufBytes(content);
  const view = new DataView(bytes.buffer);
  const text = new TextDecoder("latin1").decode(bytes);
  const list = content.tensors.map(({ name, shape }) => {
    const at = text.indexOf(name, 24);
    const place = at + name.length + 4 + 8 * shape.length + 4;
    return { name, start: Number(view.getBigUint64(place, true)), at, place };
  });
  const before = list.map(({ name }) => name);
  spoil(list);
  list.forEach(({ name, start, at, place }, i) => {
    assert.equal(name.length, before[i]!.length);
    bytes.set(new TextEncoder().encode(name), at);
    view.setBigUint64(place, BigInt(start), true);
  });
  return bytes;
}

/** Writes a model in three parts as llama-gguf-split does: all metadata in the first one. */
async function writeSplit(
  directory: string,
  { metadata, tensors }: GgufContent,
): Promise<string[]> {
  const cuts = [tensors.slice(0, 5), tensors.slice(5, 9), tensors.slice(9)];
  const paths: string[] = [];
  for (const [part, tensors] of cuts.entries()) {
    const path = `${directory}/tiny-0000${part + 1}-of-00003.gguf`;
    const split: Record<string, Entry> = {
      "split.no": { u32: part },
      "split.count": { u32: 3 },
      "split.tensors.count": { u32: cuts.flat().length },
    };
    const own = part === 0 ? { ...split, ...metadata } : split;
    await Deno.writeFile(path, ggufBytes({ metadata: own, tensors }));
    paths.push(path);
  }
  return paths;
}

interface Weight {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Random weights of a model of one layer under transformers' names. */
function tinyWeights(): Map<string, Weight> {
  const layer = "model.layers.0.";
  const shapes: Record<string, readonly number[]> = {
    "model.embed_tokens.weight": [VOCABULARY, HIDDEN],
    [`${layer}input_layernorm.weight`]: [HIDDEN],
    [`${layer}self_attn.q_proj.weight`]: [HEADS * HEAD, HIDDEN],
    [`${layer}self_attn.q_proj.bias`]: [HEADS * HEAD],
    [`${layer}self_attn.k_proj.weight`]: [KV_HEADS * HEAD, HIDDEN],
    [`${layer}self_attn.k_proj.bias`]: [KV_HEADS * HEAD],
    [`${layer}self_attn.v_proj.weight`]: [KV_HEADS * HEAD, HIDDEN],
    [`${layer}self_attn.o_proj.weight`]: [HIDDEN, HEADS * HEAD],
    [`${layer}post_attention_layernorm.weight`]: [HIDDEN],
    [`${layer}mlp.gate_proj.weight`]: [64, HIDDEN],
    [`${layer}mlp.up_proj.weight`]: [64, HIDDEN],
    [`${layer}mlp.down_proj.weight`]: [HIDDEN, 64],
    "model.norm.weight": [HIDDEN],
  };
  return new Map(
    Object.entries(shapes).map(([name, shape]) => {
      const count = shape.reduce((product, size) => product * size, 1);
      return [name, { shape, values: floats(name, count) }];
    }),
  );
}

/** Names that llama.cpp's converter gives, in the order of `tinyWeights()`. */
const CONVERTED = [
  "token_embd.weight",
  "blk.0.attn_norm.weight",
  "blk.0.attn_q.weight",
  "blk.0.attn_q.bias",
  "blk.0.attn_k.weight",
  "blk.0.attn_k.bias",
  "blk.0.attn_v.weight",
  "blk.0.attn_output.weight",
  "blk.0.ffn_norm.weight",
  "blk.0.ffn_gate.weight",
  "blk.0.ffn_up.weight",
  "blk.0.ffn_down.weight",
  "output_norm.weight",
];

interface TinyModel {
  readonly weights?: ReadonlyMap<string, Weight>;
  readonly architecture?: string;
  readonly [key: `${string}.${string}`]: Entry;
}

/** A model of one layer as llama.cpp would convert it; further keys are metadata. */
function tinyModel(
  { weights = tinyWeights(), architecture = "llama", ...more }: TinyModel,
): GgufContent {
  const metadata: Record<string, Entry> = {
    "general.architecture": { text: architecture },
    [`${architecture}.context_length`]: { u64: 2048 },
    [`${architecture}.embedding_length`]: { u32: HIDDEN },
    [`${architecture}.block_count`]: { u32: 1 },
    [`${architecture}.feed_forward_length`]: { u32: 64 },
    [`${architecture}.attention.head_count`]: { u32: HEADS },
    [`${architecture}.attention.head_count_kv`]: { u32: KV_HEADS },
    [`${architecture}.attention.layer_norm_rms_epsilon`]: { f32: 1e-5 },
    [`${architecture}.rope.dimension_count`]: { u32: HEAD },
    "tokenizer.ggml.eos_token_id": { u32: 2 },
    ...more,
  };
  const tensors = [...weights.values()].map(({ shape, values }, i) => {
    const name = CONVERTED[i]!;
    const heads = architecture !== "llama"
      ? 0
      : /attn_q/.test(name)
      ? HEADS
      : /attn_k/.test(name)
      ? KV_HEADS
      : 0;
    const stored = heads > 0 ? permuted(values, { rows: shape[0]!, heads }) : values;
    return { name, shape, type: F32, bytes: bytesOf(stored) };
  });
  return { metadata, tensors };
}

/** llama.cpp's `reshape(heads, 2, rows / heads / 2, -1).swapaxes(1, 2)`, axis by axis. */
function permuted(
  values: Float32Array,
  { rows, heads }: { readonly rows: number; readonly heads: number },
): Float32Array<ArrayBuffer> {
  const width = values.length / rows;
  const pairs = rows / heads / 2;
  const result: number[] = [];
  for (let head = 0; head < heads; head++) {
    for (let pair = 0; pair < pairs; pair++) {
      for (let half = 0; half < 2; half++) {
        const row = (head * 2 + half) * pairs + pair;
        result.push(...values.subarray(row * width, (row + 1) * width));
      }
    }
  }
  return new Float32Array(result);
}

function replaced({ metadata, tensors }: GgufContent, tensor: GgufPart): GgufContent {
  return { metadata, tensors: [...tensors.filter(({ name }) => name !== tensor.name), tensor] };
}

function floats(seed: string, count: number): Float32Array<ArrayBuffer> {
  const source = normals(seed);
  return Float32Array.from({ length: count }, () => source.next().value);
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

async function configOf(content: GgufContent): Promise<Record<string, unknown>> {
  await using file = await temporaryGguf(content);
  using checkpoint: Checkpoint = await openCheckpoint(file.path);
  return checkpoint.config as Record<string, unknown>;
}

async function refuses(content: GgufContent, message: (path: string) => string): Promise<void> {
  await using file = await temporaryGguf(content);
  await assert.rejects(openCheckpoint(file.path), (error: Error) => {
    assert.equal(error.message, message(file.path));
    return true;
  });
}

function temporaryGguf(content: GgufContent): Promise<AsyncDisposable & { readonly path: string }> {
  return temporaryFile(ggufBytes(content));
}

async function temporaryFile(
  bytes: Uint8Array,
): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempFile({ suffix: ".gguf" });
  await Deno.writeFile(path, bytes);
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path) };
}
