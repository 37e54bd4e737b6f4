import { gguf as readGguf } from "@huggingface/gguf";
import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { ReferenceDevice } from "../../../../kernels/device/reference.ts";
import { exportModel } from "../../../../stages/export.ts";
import { dequantizeBlocks } from "../../../../stages/formats/gguf/dequantize.ts";
import { blockCodes, codeBlocks } from "../../../../stages/formats/gguf/ggml_codes.ts";
import { ggmlRounded } from "../../../../stages/formats/gguf/ggml_rounding.ts";
import { ggmlBytes } from "../../../../stages/formats/gguf/ggml_types.ts";
import type { GgufEntry } from "../../../../stages/formats/gguf/encoding.ts";
import { ggufName, transformersName } from "../../../../stages/formats/gguf/names.ts";
import { GgufWriter } from "../../../../stages/formats/gguf/writer.ts";
import { llamaGguf } from "../../../../stages/models/families/llama.ts";
import { qwen3 } from "../../../../stages/models/families/qwen3.ts";
import { architectureOf } from "../../../../stages/models/architecture.ts";
import {
  type LinearScheme,
  type WeightScheme,
  weightWords,
} from "../../../../stages/quant/schemes.ts";
import {
  codedValues,
  type CodedWeight,
  groupsOf,
  plainRows,
} from "../../../../stages/quant/coded_weight.ts";
import type { FormatOptions } from "../../../../stages/exchange/format.ts";
import { gguf, weightBlocks } from "../../../../stages/exchange/gguf/format.ts";
import { contextOf } from "../../../../stages/exchange/gguf/metadata.ts";
import { typesOf } from "../../../../stages/exchange/gguf/plan.ts";
import type { Provenance } from "../../../../stages/exchange/provenance.ts";
import {
  openSource,
  type Source,
  type Subject,
  subjectOf,
} from "../../../../stages/exchange/subject.ts";
import { verifyReading } from "../../../../stages/exchange/verify.ts";
import { normals, words } from "../../../support/random.ts";
import { SHAPED, writeShaped } from "../../../support/packable_models.ts";
import { StageChain } from "../../../support/stage_chain.ts";

import rounded from "../../../testdata/gguf_rounded.json" with { type: "json" };

const OPTIONS: FormatOptions = { dtype: "float16", shardBytes: 5e9 };
/** Families of which llama.cpp computes nothing, or not what a test has. */
const NOT_IN_LLAMA_CPP =
  /^(gemma3_linear_capped|cohere_norms_biases|internlm2_dynamic|olmo2_tied_biases|qwen2_moe_sparse_steps|qwen3_moe_plain_layer)$/;

for (const { type, values, blocks } of rounded) {
  Deno.test(`\`ggmlRounded()\` gives the blocks of the gguf package in ${type}`, () => {
    const got = ggmlRounded(type as "Q8_0", new Float32Array(fromHex(values).buffer));
    assert.deepEqual(got, fromHex(blocks));
  });
}

Deno.test("`ggmlRounded()` refuses scales that half precision does not hold", () => {
  const values = new Float32Array(32).fill(1e7);
  assert.throws(() => ggmlRounded("Q8_0", values), /more than half precision holds, expected/);
});

const SCHEMES: readonly WeightScheme[] = [
  ...([2, 3, 4] as const).flatMap((bits) =>
    (["none", "post_scale", "pre_scale"] as const).map((zero) =>
      ({ bits, zero, group: 32, levels: 1 }) as const
    )
  ),
  { bits: 4, zero: "post_scale", group: 64, levels: 1 },
  { bits: 4, zero: "none", group: "row", levels: 1 },
  { bits: 4, zero: "pre_scale", group: 64, levels: 2 },
  { bits: 4, zero: "post_scale", group: 32, levels: 2 },
  { bits: 4, zero: "none", group: 64, levels: 2 },
  { bits: 8, zero: "none", group: 64, levels: 1 },
  { bits: 8, zero: "none", group: "tensor", levels: 1 },
];

for (const scheme of SCHEMES) {
  Deno.test(`blocks hold ${weightWords(scheme)} exactly, for any rows`, () => {
    const weight = randomWeight(scheme, { rows: 6, columns: 192 });
    const expected = codedValues(weight);
    const types = typesOf(scheme).slice(0, scheme.zero === "pre_scale" ? 1 : undefined);
    assert.notEqual(types.length, 0);
    for (const type of types) {
      assert.deepEqual(
        dequantizeBlocks(type, weightBlocks(weight, type, { start: 0, end: 6 })),
        expected,
      );
      assert.deepEqual(
        dequantizeBlocks(type, weightBlocks(weight, type, { start: 2, end: 5 })),
        expected.subarray(2 * 192, 5 * 192),
      );
    }
  });
}

Deno.test("Q4_1 takes zeros before the scale to the nearest half-precision number, and no further", () => {
  const scheme: WeightScheme = { bits: 4, zero: "pre_scale", group: 32, levels: 1 };
  const weight = randomWeight(scheme, { rows: 8, columns: 64 });
  const got = dequantizeBlocks("Q4_1", weightBlocks(weight, "Q4_1", { start: 0, end: 8 }));
  const expected = codedValues(weight);
  let odd = 0;
  got.forEach((value, i) => {
    const g = Math.floor(i / 32);
    const least = weight.zeros![g]! * weight.scales[g]!;
    // Half a step of half precision at the product, and the rounding of single precision.
    const most = least * 2 ** -11 + 1e-6;
    assert.ok(Math.abs(value - expected[i]!) <= most, `${value} ${expected[i]}`);
    if (value !== expected[i]) odd++;
  });
  assert.notEqual(odd, 0);
});

for (const type of ["Q8_0", "Q4_0", "Q4_1"] as const) {
  Deno.test(`\`blockCodes()\` gives back what \`codeBlocks()\` laid out in ${type}`, () => {
    const zero = type === "Q4_1" ? "post_scale" : "none";
    const scheme = { bits: type === "Q8_0" ? 8 : 4, zero, group: 32, levels: 1 } as const;
    const { codes, scales, zeros } = plainRows(randomWeight(scheme, { rows: 3, columns: 96 }));
    const given = zeros instanceof Float16Array ? { zeros } : {};
    const blocks = codeBlocks(type, { codes, group: 32, scales, ...given });
    assert.equal(blocks.length, ggmlBytes(type, [3, 96]));
    assert.deepEqual(blockCodes(type, blocks), { codes, scales, ...given });
  });
}

Deno.test("`GgufWriter` takes tensors in pieces and is read by another program", async () => {
  await using place = await temporary();
  const path = `${place.path}/a.gguf`;
  // More text than the encoder's first room, with tokens of several bytes.
  const texts = Array.from({ length: 20_000 }, (_, i) => `token ${i} é日`);
  const metadata: Record<string, GgufEntry> = {
    "general.architecture": { text: "llama" },
    "a.u64": { u64: 2 ** 40 },
    "a.f32": { f32: 0.1 },
    "a.bool": { bool: true },
    "a.texts": { texts },
    "a.i32s": { i32s: [1, -2, 3] },
    "a.f32s": { f32s: [0.5, -0.25] },
  };
  const tensors = [
    { name: "x", shape: [3], type: "F32" },
    { name: "y", shape: [2, 32], type: "Q8_0" },
  ];
  {
    using writer = await GgufWriter.create(path, { metadata, tensors });
    await writer.write("x", new Uint8Array(4).fill(1));
    await writer.write("x", new Uint8Array(8).fill(2));
    await writer.write("y", new Uint8Array(68).fill(3));
    await writer.close();
  }
  const found = await readGguf(path, { allowLocalFile: true });
  const got = found.metadata as unknown as Record<string, unknown>;
  assert.equal(got["a.u64"], BigInt(2 ** 40));
  assert.equal(got["a.f32"], Math.fround(0.1));
  assert.equal(got["a.bool"], true);
  assert.deepEqual(got["a.texts"], texts);
  assert.deepEqual(got["a.i32s"], [1, -2, 3]);
  assert.deepEqual(got["a.f32s"], [0.5, -0.25]);
  assert.deepEqual(
    found.tensorInfos.map(({ name, shape, offset }) => [name, shape.map(Number), Number(offset)]),
    [["x", [3], 0], ["y", [32, 2], 32]],
  );
  const bytes = await Deno.readFile(path);
  const at = Number(found.tensorDataOffset);
  assert.equal(at % 32, 0);
  assert.deepEqual([...bytes.slice(at, at + 16)], [1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0]);
  assert.equal(bytes.length, at + 32 + 96);
});

Deno.test("`GgufWriter` refuses tensors out of turn, bytes too many and files too short", async () => {
  await using place = await temporary();
  const tensors = [{ name: "x", shape: [2], type: "F32" }, { name: "y", shape: [2], type: "F32" }];
  const create = (list = tensors) =>
    GgufWriter.create(`${place.path}/a.gguf`, { metadata: {}, tensors: list });
  using writer = await create();
  await assert.rejects(writer.write("y", new Uint8Array(8)), /not its turn, expected "x"$/);
  await assert.rejects(writer.write("x", new Uint8Array(9)), /9 bytes, expected 8$/);
  await writer.write("x", new Uint8Array(8));
  await writer.write("y", new Uint8Array(4));
  await assert.rejects(writer.close(), /tensor "y" has 4 bytes, expected 8$/);
  await assert.rejects(create([tensors[0]!, tensors[0]!]), /comes twice, expected each once$/);
  await assert.rejects(
    create([{ name: "x", shape: [31], type: "Q8_0" }]),
    /expected a multiple of 32/,
  );
  await assert.rejects(create([{ name: "x", shape: [32], type: "Q3" }]), /ggml has no such type/);
});

Deno.test("`ggufName()` is the inverse of `transformersName()`", () => {
  for (
    const name of [
      "token_embd.weight",
      "output.weight",
      "blk.0.attn_q.bias",
      "blk.31.ffn_down.weight",
    ]
  ) {
    assert.equal(ggufName(transformersName(name, llamaGguf)!, llamaGguf), name);
  }
  const norm = "model.layers.0.self_attn.q_norm.weight";
  assert.equal(ggufName(norm, llamaGguf), undefined);
  assert.equal(ggufName(norm, qwen3.gguf!), "blk.0.attn_q_norm.weight");
  assert.equal(transformersName("blk.0.attn_q_norm.weight", qwen3.gguf!), norm);
});

for (const family of SHAPED) {
  Deno.test(`${family}: a GGUF file gives configuration and weights back`, async () => {
    await using place = await temporary();
    const { path } = await writeShaped(family, await made(`${place.path}/model`));
    using source = await openSource(path);
    const { subject } = source;
    const { windows } = subject.family.gguf ?? {};
    if (gguf.refusals(subject, OPTIONS).length > 0) return assert.match(family, NOT_IN_LLAMA_CPP);
    const out = await exported(source, `${place.path}/out`, { ...OPTIONS, dtype: "float32" });
    using reading = await gguf.open(out);
    const { checkpoint } = reading;
    const { config } = subject;
    const window = config.windows.find((each) => each !== undefined);
    assert.deepEqual(architectureOf(checkpoint.config).config, {
      ...config,
      positions: contextOf(subject),
      windows: config.windows.map((each) => windows && each),
    });
    const ends = windows ? undefined : window;
    assert.equal(contextOf(subject), ends ?? config.positions);
    assert.deepEqual(gguf.engines(subject, OPTIONS)[0]!.limits.length, ends ? 1 : 0);
    const names = ({ tensors }: typeof checkpoint) => [...tensors.keys()].sort();
    assert.deepEqual(names(checkpoint), names(source.checkpoint));
    for (const name of source.checkpoint.tensors.keys()) {
      assert.deepEqual(await checkpoint.read(name), await source.checkpoint.read(name), name);
    }
  });
}

Deno.test("a GGUF file of the embedded model says tokenizer and provenance", async () => {
  await using place = await temporary();
  const path = fileURLToPath(new URL("../../../../configs/embedded", import.meta.url));
  using source = await openSource(path);
  const out = await exported(source, `${place.path}/out`, OPTIONS);
  const { metadata } = await readGguf(`${out}/model.gguf`, { allowLocalFile: true });
  const said = metadata as unknown as Record<string, unknown>;
  assert.equal(said["general.architecture"], "llama");
  assert.equal(said["general.file_type"], 1);
  assert.equal(said["tokenizer.ggml.model"], "gpt2");
  assert.equal(said["tokenizer.ggml.pre"], "gpt-2");
  assert.equal(said["tokenizer.ggml.add_bos_token"], false);
  assert.equal(said["tokenizer.ggml.eos_token_id"], 0);
  assert.match(said["tokenizer.chat_template"] as string, /^\{\{ bos_token \}\}/);
  assert.deepEqual(JSON.parse(said["quattuor.provenance"] as string), PROVENANCE);
  const size = (await Deno.stat(`${out}/model.gguf`)).size;
  const weights = gguf.weightBytes(source.subject, OPTIONS);
  assert.ok(size > weights && size < weights + 100_000, `${size} ${weights}`);
});

for (const type of ["F16", "Q8_0", "Q4_0", "Q4_1"] as const) {
  Deno.test(`a plain model in ${type} is read back within the rounding the format states`, async () => {
    await using place = await temporary();
    const { path } = await writeShaped("qwen2_tied", await made(`${place.path}/model`));
    using source = await openSource(path);
    const options = { ...OPTIONS, type };
    const out = await exported(source, `${place.path}/out`, options);
    const rounding = gguf.rounding(source.subject, options);
    using reading = await gguf.open(out);
    assert.equal(Object.keys(reading.linears).length, type === "F16" ? 0 : 14);
    assert.deepEqual(await Array.fromAsync(verifyReading(reading, { source, rounding })), []);
    if (type === "F16") return assert.equal(rounding, 0);
    // A bound that nothing comes near would prove nothing.
    const tight = verifyReading(reading, { source, rounding: rounding / 3 });
    assert.notEqual((await Array.fromAsync(tight)).length, 0);
  });
}

Deno.test("a GGUF file keeps rows that are no whole blocks in floating point", () => {
  const subject = subjectOf({
    config: {
      ...LLAMA,
      intermediate_size: 72,
    },
    record: plain({}),
  });
  const bytes = (type: "Q8_0" | "F16") => gguf.weightBytes(subject, { ...OPTIONS, type });
  const { hidden, inner, layers } = subject.config;
  const whole = layers * (5 * hidden * hidden + inner * hidden);
  // Queries, keys, values, outputs, and gate and up have rows of 128; those of down have 72.
  assert.equal(
    bytes("F16") - bytes("Q8_0"),
    (whole + layers * (inner - hidden) * hidden) * (2 - 34 / 32),
  );
});

const REFUSED:
  readonly (readonly [string, Partial<WeightScheme>, FormatOptions["type"], RegExp])[] = [
    [
      "groups of 24",
      { group: 24 },
      undefined,
      /24 inputs share a scale, expected a multiple of 32$/,
    ],
    ["8 bits with a zero", { bits: 8 }, undefined, /expected at most 4 bits or none for zero$/],
    ["Q4_0 for codes with a zero", {}, "Q4_0", /which Q4_0 does not hold, expected type Q4_1$/],
    ["Q8_0 for scaled zeros", {}, "Q8_0", /which Q8_0 does not hold, expected type Q4_1$/],
  ];

for (const [what, weights, type, message] of REFUSED) {
  Deno.test(`a GGUF file refuses ${what}`, () => {
    const scheme = { bits: 4, zero: "post_scale", group: 32, levels: 1, ...weights } as const;
    const [refusal, ...more] = refusals({ weights: scheme }, type);
    assert.equal(refusal!.what, "model");
    assert.match(refusal!.text, /^model\.layers\.0\.self_attn\.q_proj has W/);
    assert.match(refusal!.text, message);
    // Dequantized, any codes can be written.
    assert.deepEqual(refusals({ weights: scheme }, "F16"), []);
    assert.notEqual(more.length, 0);
  });
}

Deno.test("a GGUF file takes small groups under one scale a row, for the codes take them up", () => {
  const weights = { bits: 4, zero: "post_scale", group: 8, levels: 2 } as const;
  assert.deepEqual(refusals({ weights }), []);
  const weight = randomWeight(weights, { rows: 2, columns: 64 });
  const blocks = weightBlocks(weight, "Q8_0", { start: 0, end: 2 });
  assert.deepEqual(dequantizeBlocks("Q8_0", blocks), codedValues(weight));
});

Deno.test("a GGUF file refuses 8-bit inputs and a quantized KV cache, unless they are given up", () => {
  const weights = { bits: 8, zero: "none", group: "row", levels: 1 } as const;
  const found = refusals({ weights, inputs: { bits: 8, range: "dynamic" } });
  assert.deepEqual(found.map(({ what }) => what), ["activations"]);
  const scheme = { bits: 4, zero: "post_scale", group: "head" } as never;
  const kv = subjectOf({
    config: LLAMA,
    record: { ...plain({}), kv: [{ key: scheme, value: scheme }] },
  });
  assert.deepEqual(gguf.refusals(kv, OPTIONS).map(({ what }) => what), ["kv"]);
});

Deno.test("a GGUF file refuses online transforms and qwen2 with heads that are wider than the model", () => {
  const turned = subjectOf({
    config: LLAMA,
    record: { ...plain({}), hadamard: ["mlp.out"] },
  });
  assert.match(gguf.refusals(turned, OPTIONS)[0]!.text, /^a Hadamard transform runs at mlp\.out/);
  const wide = { ...LLAMA, architectures: ["Qwen2ForCausalLM"], head_dim: 96 };
  const [refusal] = gguf.refusals(subjectOf({ config: wide, record: plain({}) }), OPTIONS);
  assert.match(refusal!.text, /^its 2 heads of 96 do not make up the 128 channels, expected/);
});

Deno.test("reading a GGUF file names truncated tensors, shapes that differ and scales that are no numbers", async () => {
  await using place = await temporary();
  const { path } = await writeShaped("llama_wide_heads", await made(`${place.path}/model`));
  using source = await openSource(path);
  const out = await exported(source, `${place.path}/out`, { ...OPTIONS, type: "Q4_1" });
  const file = `${out}/model.gguf`;
  const bytes = await Deno.readFile(file);
  const { tensorInfos, tensorDataOffset } = await readGguf(file, { allowLocalFile: true });
  const down = tensorInfos.find(({ name }) => name === "blk.1.ffn_down.weight")!;
  const at = Number(tensorDataOffset) + Number(down.offset);
  const broken = bytes.slice();
  // Row 3 has 8 blocks of 20 bytes; the third of them gets an infinite scale.
  new DataView(broken.buffer).setUint16(at + (3 * 8 + 2) * 20, 0x7c00, true);
  await Deno.writeFile(file, broken);
  {
    using reading = await gguf.open(out);
    const [breach, ...more] = await Array.fromAsync(verifyReading(reading));
    assert.equal(breach!.tensor, "model.layers.1.mlp.down_proj");
    assert.match(
      breach!.rule,
      /block 2 of row 3 has the scale Infinity .* expected finite numbers$/,
    );
    assert.deepEqual(more, []);
  }
  const wrong = bytes.slice();
  // A code of the same row: a value that no rounding explains.
  wrong[at + 3 * 8 * 20 + 4]! ^= 0x0f;
  await Deno.writeFile(file, wrong);
  {
    using reading = await gguf.open(out);
    const rounding = gguf.rounding(source.subject, { ...OPTIONS, type: "Q4_1" });
    const [breach] = await Array.fromAsync(verifyReading(reading, { source, rounding }));
    assert.equal(breach?.tensor, "model.layers.1.mlp.down_proj");
    assert.match(breach.rule, /^output 3, input 0 is .*, expected /);
  }
  await Deno.writeFile(file, bytes.slice(0, bytes.length - 100));
  await assert.rejects(gguf.open(out), /is truncated, fetch it again/);
  const shorter = bytes.slice();
  const key = new TextEncoder().encode("llama.feed_forward_length");
  const length = find(shorter, key) + key.length + 4;
  new DataView(shorter.buffer).setUint32(length, 128, true);
  await Deno.writeFile(file, shorter);
  using reading = await gguf.open(out);
  assert.match(
    reading.problems[0]!,
    /mlp\.gate_proj\.weight" in .* is \[256, 128\], expected \[128, 128\]$/,
  );
});

Deno.test("exporting to gguf refuses a tokenizer that llama.cpp reads otherwise, before it writes anything", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await writeShaped("llama_wide_heads", await chain.directory());
  const tokenizer = { added_tokens: [], model: { type: "Unigram", vocab: [] } };
  await Deno.writeTextFile(`${model.path}/tokenizer.json`, JSON.stringify(tokenizer));
  const left = await chain.refuses(exportModel, {
    inputs: { model, reports: [] },
    params: { format: "gguf" },
    message:
      /^Cannot export to gguf: its tokenizer cannot be written: its model is Unigram, .*; export to \w+$/,
  });
  assert.deepEqual(left, []);
});

Deno.test("an export that ends early leaves a file that nobody reads", async () => {
  await using place = await temporary();
  const { path } = await writeShaped("qwen2_untied", await made(`${place.path}/model`));
  using source = await openSource(path);
  const controller = new AbortController();
  const out = `${place.path}/out`;
  const stop = (done: number) => done === 3 && controller.abort(new Error("enough"));
  await assert.rejects(
    exported(source, out, OPTIONS, { signal: controller.signal, progress: stop }),
    /enough/,
  );
  await assert.rejects(gguf.open(out), /truncated/);
});

const LLAMA = {
  architectures: ["LlamaForCausalLM"],
  hidden_size: 128,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  vocab_size: 8,
};

const PROVENANCE: Provenance = {
  version: 1,
  producer: "quattuor",
  format: "gguf",
  model: "a digest",
  scheme: "W16 A16 KV16",
  ignored: [],
  recipe: { digest: "another", stages: [] },
  scores: [],
  engines: [],
};

function plain(linears: Readonly<Record<string, LinearScheme>>): Subject["record"] {
  return { history: [], hadamard: [], linears, kv: [] };
}

/** Why a Llama whose linears all have a scheme is refused. */
function refusals(scheme: LinearScheme, type?: FormatOptions["type"]) {
  const { linears } = subjectOf({ config: LLAMA, record: plain({}) });
  const record = plain(Object.fromEntries(linears.map(({ name }) => [name, scheme])));
  return gguf.refusals(subjectOf({ config: LLAMA, record }), { ...OPTIONS, ...type && { type } });
}

async function exported(
  source: Source,
  out: string,
  options: FormatOptions,
  { signal = new AbortController().signal, progress = () => {} }: {
    readonly signal?: AbortSignal;
    progress?(done: number): void;
  } = {},
): Promise<string> {
  await made(out);
  const { subject } = source;
  await gguf.write(source, { subject, out, options, provenance: PROVENANCE, signal, progress });
  return out;
}

/** A weight of random codes and scales; zeros as the scheme has them. */
function randomWeight(
  scheme: WeightScheme,
  { rows, columns }: { readonly rows: number; readonly columns: number },
): CodedWeight {
  const { bits, zero, levels } = scheme;
  const word = words(weightWords(scheme));
  const normal = normals(weightWords(scheme));
  const range = 2 ** bits;
  const groups = rows * groupsOf({ scheme, columns });
  const codes = Array.from({ length: rows * columns }, () => word.next().value % range);
  const signed = zero === "none";
  const halves = (count: number) =>
    Float16Array.from({ length: count }, () => 0.02 * Math.abs(normal.next().value));
  const own = {
    scheme,
    rows,
    columns,
    codes: signed ? Int8Array.from(codes, (code) => code - range / 2) : Uint8Array.from(codes),
  };
  const scales = halves(levels === 2 ? rows : groups);
  if (levels === 2) {
    const bytes = (most: number) => Array.from({ length: groups }, () => word.next().value % most);
    return {
      ...own,
      rowScales: scales,
      scales: Uint8Array.from(bytes(16)),
      ...!signed && { zeros: Int8Array.from(bytes(120)) },
    };
  }
  if (signed) return { ...own, scales };
  if (zero === "post_scale") return { ...own, scales, zeros: halves(groups) };
  return {
    ...own,
    scales,
    zeros: Uint8Array.from({ length: groups }, () => word.next().value % range),
  };
}

function find(bytes: Uint8Array, part: Uint8Array): number {
  return bytes.findIndex((_, at) => part.every((byte, i) => bytes[at + i] === byte));
}

function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

async function made(path: string): Promise<string> {
  await Deno.mkdir(path, { recursive: true });
  return path;
}

async function temporary(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir();
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}
