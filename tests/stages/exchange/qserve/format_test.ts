import { strict as assert } from "node:assert";
import { ReferenceDevice } from "../../../../kernels/device/reference.ts";
import { fixedScale, type KvScheme } from "../../../../kernels/codes/kv_scheme.ts";
import type { Artifact } from "../../../../pipeline/artifact.ts";
import { calibrate_kv } from "../../../../stages/calibrate_kv.ts";
import { qserve } from "../../../../stages/exchange/qserve/format.ts";
import { packTiles } from "../../../../stages/exchange/qserve/layout.ts";
import { packQserve, unpackQserve } from "../../../../stages/exchange/qserve/codes.ts";
import type { PartValues } from "../../../../stages/exchange/part_values.ts";
import { openSource, type Subject, subjectOf } from "../../../../stages/exchange/subject.ts";
import { verifyReading } from "../../../../stages/exchange/verify.ts";
import { exportModel } from "../../../../stages/export.ts";
import { fold } from "../../../../stages/fold.ts";
import { openCheckpoint } from "../../../../stages/models/open_checkpoint.ts";
import { quantize } from "../../../../stages/quantize.ts";
import { codedValues, type CodedWeight } from "../../../../stages/quant/coded_weight.ts";
import type { LinearScheme } from "../../../../stages/quant/schemes.ts";
import { rotate } from "../../../../stages/rotate.ts";
import { codedLinear } from "../../../support/coded_linear.ts";
import { patchTensor } from "../../../support/checkpoint_patch.ts";
import { normals } from "../../../support/random.ts";
import { writeShaped } from "../../../support/packable_models.ts";
import { readTensors, writeTensors } from "../../../support/family_copy.ts";
import { StageChain } from "../../../support/stage_chain.ts";

const OPTIONS = { dtype: "float16", shardBytes: 5e9 } as const;
const DYNAMIC = { bits: 8, range: "dynamic" } as const;
const CHANNEL: LinearScheme = {
  weights: { bits: 4, zero: "post_scale", group: "row", levels: 1 },
  inputs: DYNAMIC,
};
const GROUPS: LinearScheme = {
  weights: { bits: 4, zero: "post_scale", group: 128, levels: 2 },
  inputs: DYNAMIC,
};
const BYTES: LinearScheme = {
  weights: { bits: 8, zero: "none", group: "row", levels: 1 },
  inputs: DYNAMIC,
};
const DOWN = "model.layers.0.mlp.down_proj";

/** The example of .github/ALGORITHMS.md#tiles: q[n][k] = (3 n + 5 k + floor(n / 16)) mod 16. */
function exampleCodes(columns: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: 32 * columns }, (_, i) => {
    const [n, k] = [Math.floor(i / columns), i % columns];
    return (3 * n + 5 * k + Math.floor(n / 16)) % 16;
  });
}

Deno.test("codes lie in tiles as .github/ALGORITHMS.md#tiles shows", () => {
  const packed = packTiles(exampleCodes(32), { rows: 32, columns: 32 });
  const row = [0x10, 0x65, 0xba, 0x0f, 0x98, 0xed, 0x32, 0x87];
  assert.deepEqual([...packed.subarray(0, 16)], [...row, ...row]);
  const signed = new Int8Array(packed.buffer);
  assert.deepEqual([...signed.subarray(0, 8)], [16, 101, -70, 15, -104, -19, 50, -121]);
  assert.deepEqual([...signed.subarray(16, 24)], [84, -87, -2, 67, -36, 33, 118, -53]);
});

Deno.test("scales and scaled zeros of outputs are those of .github/ALGORITHMS.md#tiles", () => {
  const weight: CodedWeight = {
    scheme: { bits: 4, zero: "pre_scale", group: "row", levels: 1 },
    rows: 32,
    columns: 32,
    codes: exampleCodes(32),
    scales: Float16Array.from({ length: 32 }, (_, n) => (n + 1) / 64),
    zeros: Uint8Array.from({ length: 32 }, (_, n) => 7 + n % 3),
  };
  const first = (part: string) => [...packQserve(weight, part) as Float16Array].slice(0, 4);
  assert.deepEqual(first("s1_scales"), [0.015625, 0.03125, 0.046875, 0.0625]);
  assert.deepEqual(first("s1_szeros"), [0.109375, 0.25, 0.421875, 0.4375]);
});

/** The example of .github/ALGORITHMS.md#group-order, in groups of 32. */
function exampleGroups(): CodedWeight {
  const codes = exampleCodes(64);
  const at = (n: number) => n % 7 + 3;
  return {
    scheme: { bits: 4, zero: "post_scale", group: 32, levels: 2 },
    rows: 32,
    columns: 64,
    codes,
    rowScales: new Float16Array(32).fill(0.5),
    scales: Uint8Array.from({ length: 64 }, (_, i) => at(i >> 1)),
    zeros: Int8Array.from({ length: 64 }, (_, i) => 4 * at(i >> 1) + (i >> 1) % 3),
  };
}

Deno.test("scales and zeros of groups stand in the order that kernels read (.github/ALGORITHMS.md#group-order)", () => {
  const weight = exampleGroups();
  const row = (part: string) => [...packQserve(weight, part) as Int8Array].slice(0, 8);
  assert.deepEqual(row("s2_scales"), [3, 4, 5, 6, 4, 5, 6, 7]);
  assert.deepEqual(row("s2_zeros"), [-12, -18, -21, -24, -17, -20, -26, -29]);
});

Deno.test("a linear comes back from its tensors with the codes and integers it had", () => {
  const weight = exampleGroups();
  const parts = Object.fromEntries(
    ["qweight", "s1_scales", "s2_scales", "s2_zeros"]
      .map((part) => [part, packQserve(weight, part) as PartValues]),
  );
  const back = unpackQserve(outline(32, 64, { weights: weight.scheme }), parts);
  assert.deepEqual(back, weight);
});

Deno.test("signed codes of two levels keep their values, those that reach -8 too", () => {
  for (const least of [-7, -8]) {
    const codes = Int8Array.from({ length: 32 * 64 }, (_, i) => i % (8 - least) + least);
    const weight: CodedWeight = {
      scheme: { bits: 4, zero: "none", group: 32, levels: 2 },
      rows: 32,
      columns: 64,
      codes,
      rowScales: new Float16Array(32).fill(0.5),
      scales: Uint8Array.from({ length: 64 }, (_, i) => i % 14 + 2),
    };
    const parts = Object.fromEntries(
      ["qweight", "s1_scales", "s2_scales", "s2_zeros"]
        .map((part) => [part, packQserve(weight, part) as PartValues]),
    );
    const scheme = { ...weight.scheme, zero: "post_scale" } as const;
    const back = unpackQserve(outline(32, 64, { weights: scheme }), parts);
    assert.deepEqual(codedValues(back), codedValues(weight));
  }
});

Deno.test("scales in single precision are rounded as the engine rounds them, or refused", () => {
  const weight = exampleGroups();
  const parts = (scale: number): Record<string, PartValues> => ({
    qweight: packQserve(weight, "qweight") as PartValues,
    s1_scales: new Float32Array(32).fill(scale),
    s2_scales: packQserve(weight, "s2_scales") as PartValues,
    s2_zeros: packQserve(weight, "s2_zeros") as PartValues,
  });
  const read = (scale: number) =>
    unpackQserve(outline(32, 64, { weights: weight.scheme }), parts(scale));
  assert.equal(read(0.1).rowScales![5], Math.f16round(0.1));
  for (
    const [scale, rule] of [[NaN, /output 0 is NaN/], [1e5, /100000.*half/], [
      1e-7,
      /half/,
    ]] as const
  ) {
    assert.throws(() => read(scale), rule);
  }
});

const PRECISIONS: Readonly<Record<string, object>> = {
  "signed a row": { bits: 4, zero: "none", group: "row" },
  "pre-scale a row": { bits: 4, zero: "pre_scale", group: "row" },
  "post-scale a row": { bits: 4, zero: "post_scale", group: "row" },
  "pre-scale in groups": { bits: 4, zero: "pre_scale", group: 128, levels: 2 },
  "post-scale in groups": { bits: 4, zero: "post_scale", group: 128, levels: 2 },
  "8 bits a row": { bits: 8, zero: "none", group: "row" },
};

for (const [words, weights] of Object.entries(PRECISIONS)) {
  Deno.test(`the kernel's arithmetic on an export gives the outputs of the model: ${words}`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const model = await quantized(chain, weights);
    const exported = await chain.run(exportModel, { model, reports: [] }, { format: "qserve" });
    using source = await openSource(model.path);
    using checkpoint = await openCheckpoint(exported.path);
    const { rows, columns } = source.subject.linears.find(({ name }) => name === DOWN)!;
    const x = inputCodes(columns);
    const values = codedValues(await source.linear(DOWN));
    const expected = Float64Array.from({ length: rows }, (_, n) => {
      let sum = 0;
      for (let k = 0; k < columns; k++) sum += values[n * columns + k]! * x.codes[k]! * x.scale;
      return sum;
    });
    const part = async (name: string) => {
      const tensor = `${DOWN}.${name}`;
      return checkpoint.tensors.has(tensor) ? await checkpoint.readRaw(tensor) : undefined;
    };
    const names = [
      "qweight",
      "weight",
      "dequant_scale",
      "s1_scales",
      "s1_szeros",
      "s2_scales",
      "s2_zeros",
    ];
    const parts = Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await part(name)])),
    );
    const got = kernel(parts, { rows, columns }, x);
    // Half precision holds a pre-scale zero times its scale; all else is exact.
    const most = expected.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    const allowed = words === "pre-scale a row" ? 2 ** -10 : 1e-6;
    expected.forEach((y, n) => assert.ok(Math.abs(got[n]! - y) <= allowed * most, `output ${n}`));
  });
}

/** Codes of an input whose values they stand for exactly. */
function inputCodes(columns: number): { readonly codes: Int8Array; readonly scale: number } {
  const source = normals("inputs");
  const codes = Int8Array.from({ length: columns }, () => Math.round(30 * source.next().value));
  return { codes, scale: 0.0625 };
}

/**
 * What QServe's matrix kernels do with the bytes of a linear (.github/ALGORITHMS.md#qserve-tensors): a
 * lane takes 16 bytes, as four words of four codes in each nibble; integers are multiplied four at a
 * time, and bytes added without carries.
 */
function kernel(
  parts: Readonly<Record<string, Uint8Array<ArrayBuffer> | undefined>>,
  { rows, columns }: { readonly rows: number; readonly columns: number },
  { codes: x, scale }: { readonly codes: Int8Array; readonly scale: number },
): Float64Array {
  const half = (name: string) => parts[name] && new Float16Array(parts[name].buffer);
  const y = new Float64Array(rows);
  const sums = new Int32Array(rows);
  const total = x.reduce((sum, code) => sum + code, 0);
  if (parts.weight) {
    const weights = new Int8Array(parts.weight.buffer);
    for (let n = 0; n < rows; n++) {
      for (let k = 0; k < columns; k++) sums[n]! += weights[n * columns + k]! * x[k]!;
    }
    return y.map((_, n) => sums[n]! * scale * half("dequant_scale")![n]!);
  }
  const words = new Uint32Array(parts.qweight!.buffer);
  let next = 0;
  for (let t = 0; t < rows / 32; t++) {
    for (let u = 0; u < columns / 32; u++) {
      const group = Math.floor(u * 32 / 128);
      for (let nl = 0; nl < 8; nl++) {
        for (let kl = 0; kl < 4; kl++) {
          for (const kp of [0, 1]) {
            for (const np of [0, 1]) {
              const word = words[next++]!;
              for (const hi of [0, 1]) {
                const n = 32 * t + 16 * hi + 8 * np + nl;
                let four = word >>> 4 * hi & 0x0f0f0f0f;
                if (parts.s2_scales) {
                  const at = group * rows + 32 * t + 4 * nl + 2 * hi + np;
                  four = Math.imul(four, parts.s2_scales[at]!);
                  four = addBytes(four, parts.s2_zeros![at]!);
                }
                for (let kr = 0; kr < 4; kr++) {
                  const k = 32 * u + 16 * kp + 4 * kl + kr;
                  sums[n]! += (four >>> 8 * kr << 24 >> 24) * x[k]!;
                }
              }
            }
          }
        }
      }
    }
  }
  assert.equal(next, words.length);
  const zeros = half("s1_szeros");
  return y.map((_, n) =>
    sums[n]! * scale * half("s1_scales")![n]! - (zeros?.[n] ?? 0) * total * scale
  );
}

/** Adds a byte to each byte of a word without carries. */
function addBytes(word: number, byte: number): number {
  let sum = 0;
  for (let shift = 0; shift < 32; shift += 8) sum |= ((word >>> shift) + byte & 0xff) << shift;
  return sum;
}

Deno.test("a static KV cache of 8 bits is written as the scales of keys and values", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { exported, kv } = await withKv(chain, { bits: 8, zero: "none", range: "static" });
  using checkpoint = await openCheckpoint(exported.path);
  using reading = await qserve.open(exported.path);
  assert.equal(kv.length, 2);
  for (const [layer, { key, value }] of kv.entries()) {
    const name = `model.layers.${layer}.self_attn.kv_scale_quant_orig`;
    const { dtype, shape } = checkpoint.tensors.get(name)!;
    assert.deepEqual([dtype, shape], ["F32", [2]]);
    const scales = [key, value].map(({ range }) => Math.f16round(range! / 127));
    assert.deepEqual([...await checkpoint.read(name)], scales);
    assert.deepEqual(fixedScale(reading.kv[layer]!.key), scales[0]);
    assert.deepEqual(fixedScale(reading.kv[layer]!.value), scales[1]);
  }
  assert.deepEqual(reading.unexpected, []);
  await patchTensor(
    exported.path,
    "model.layers.1.self_attn.kv_scale_quant_orig",
    (bytes) => bytes.fill(0),
  );
  await assert.rejects(() => qserve.open(exported.path), /layers\.1\..*\[0, 0\], expected two pos/);
});

Deno.test("a dynamic KV cache is nothing but flags, and comes back from what config.json says", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { exported, kv } = await withKv(chain, { bits: 4, zero: "post_scale" });
  using reading = await qserve.open(exported.path);
  assert.deepEqual(reading.kv, kv);
  assert.ok(![...reading.checkpoint.tensors.keys()].some((name) => name.includes("kv_scale")));
});

/** Exports a model whose KV cache was calibrated; gives what its record says of that. */
async function withKv(
  chain: StageChain,
  params: object,
): Promise<{ readonly exported: Artifact; readonly kv: Subject["record"]["kv"] }> {
  const plain = await writeShaped("llama_wide_heads", await chain.directory());
  const folded = await chain.run(fold, { model: plain });
  const stats = await chain.calibrate(folded);
  const weights = { bits: 8, zero: "none", group: "row" };
  const rounded = { method: "rtn", weights, activations: "dynamic" };
  const codes = await chain.run(quantize, { model: folded }, rounded);
  const model = await chain.run(calibrate_kv, { model: codes, stats }, params);
  const exported = await chain.run(exportModel, { model, reports: [] }, { format: "qserve" });
  using source = await openSource(model.path);
  return { exported, kv: source.subject.record.kv };
}

Deno.test("the command has the flags that no file holds", () => {
  const command = (scheme: LinearScheme, kv?: KvScheme) =>
    qserve.engines(shaped({ scheme, ...kv && { kv: [kv, kv] } }), OPTIONS)[0]!.command;
  const head = { bits: 4, zero: "post_scale", group: 64 } as const;
  assert.match(
    command(CHANNEL, head),
    /--precision w4a8kv4 --group-size -1 --kv-quant-granularity fine_grained/,
  );
  assert.match(command(GROUPS), /--precision w4a8kv8 --group-size 128 /);
  const fixed = { bits: 8, zero: "none", group: 64, range: 3 } as const;
  assert.match(command(BYTES, fixed), /--precision w8a8kv8 .*--kv-quant-granularity per_tensor/);
  assert.match(command(BYTES), /NUM_RETRIEVAL_GPU_PAGE_BLOCKS=\d+ NUM_STREAMING_GPU_PAGE_BLOCKS=0/);
});

Deno.test("SGLang is an engine for 4-bit weights, with what it does not read", () => {
  const [, sglang] = qserve.engines(shaped({ kv: [HEAD_KV, HEAD_KV] }), OPTIONS);
  assert.equal(sglang?.engine, "sglang");
  assert.match(sglang.limits.join("\n"), /keys and values in full precision/);
  assert.equal(qserve.engines(shaped({ scheme: BYTES }), OPTIONS).length, 1);
});

Deno.test("what the engine cannot do with a file is said beside the command", () => {
  const limits = (subject: Subject) => qserve.engines(subject, OPTIONS)[0]!.limits.join("\n");
  const found = limits(
    shaped({ json: { max_position_embeddings: 131072, intermediate_size: 160 } }),
  );
  assert.match(found, /heads of 128, this model has heads of 64/);
  assert.match(found, /inner size 160/);
  assert.match(found, /serves 65536 tokens, this model 131072/);
  assert.match(found, /keys and values in 8 bits, this model was measured without/);
  assert.match(found, /sum of inputs before rounding/);
  // 2 layers of one head of 64 channels at 8 bits and 4 bytes, keys and values, 64 tokens a page.
  assert.match(
    found,
    new RegExp(`2112 pages .* ${(2112 * 2 * 2 * 64 * 68 / 1e9).toPrecision(3)} GB`),
  );
});

const HEAD_KV: KvScheme = { bits: 4, zero: "post_scale", group: 64 };

/** Models that headers refuse, with the words of the refusal. */
const REFUSED: readonly (readonly [what: "model" | "kv", RegExp, ShapedModel])[] = [
  ["model", /architecture is Qwen2ForCausalLM, expected Llama/, {
    json: { architectures: ["Qwen2ForCausalLM"] },
    mend: (subject) => ({
      ...subject,
      linears: subject.linears.map((each) => ({ ...each, bias: undefined })),
    }),
  }],
  ["model", /rotary positions are scaled \(linear\)/, {
    json: { rope_scaling: { rope_type: "linear", factor: 2 } },
  }],
  ["model", /sees a window/, {
    json: { architectures: ["MistralForCausalLM"], sliding_window: 9 },
  }],
  ["model", /head size is 32, expected hidden size \/ heads, which is 64/, {
    json: { head_dim: 32 },
  }],
  ["model", /Hadamard transform runs at mlp\.out/, {
    mend: (subject) => ({ ...subject, record: { ...subject.record, hadamard: ["mlp.out"] } }),
  }],
  ["model", /layers\.1\.mlp\.up_proj is in full precision, expected codes/, {
    schemes: (name) => name.endsWith("1.mlp.up_proj") ? undefined : CHANNEL,
  }],
  ["model", /q_proj \(and 13 more linears\) has weights in W4 g64 post-scale, expected 4 bits/, {
    scheme: { ...CHANNEL, weights: { ...CHANNEL.weights, group: 64 } },
  }],
  ["model", /has weights in W3 per row/, {
    scheme: { ...CHANNEL, weights: { ...CHANNEL.weights, bits: 3 } },
  }],
  ["model", /has groups of 64 columns, expected 128/, {
    scheme: { ...GROUPS, weights: { ...GROUPS.weights, group: 64 } },
  }],
  ["model", /has inputs in full precision, expected 8 bits with a scale a token/, {
    scheme: { weights: CHANNEL.weights },
  }],
  ["model", /has 8-bit inputs under one scale/, {
    scheme: { ...CHANNEL, inputs: { bits: 8, range: 3 } },
  }],
  [
    "model",
    /0\.mlp\.down_proj \(and 1 more linears\) has 8 bits .*, expected 4 bits .* as in model\.layers\.0\.self_attn\.q_proj/,
    {
      schemes: (name) => name.endsWith("down_proj") ? BYTES : CHANNEL,
    },
  ],
  ["model", /gate_proj .* is 144 by 128, expected multiples of 32/, {
    json: { intermediate_size: 144 },
  }],
  ["model", /gate_proj .* has a bias, expected none: the engine has no place/, {
    json: { mlp_bias: true },
  }],
  ["model", /q_proj .* has a bias, expected none: the engine drops it/, {
    json: { attention_bias: true },
    scheme: BYTES,
  }],
  ["kv", /layer 1 has keys of 8 bits, dynamic and values of 8 bits, dynamic, expected 4 bits/, {
    kv: [HEAD_KV, { ...HEAD_KV, bits: 8 }],
  }],
  ["kv", /layer 0 has keys in groups of 32, expected a scale a head of 64/, {
    kv: [{ ...HEAD_KV, group: 32 }, HEAD_KV],
  }],
  ["kv", /layer 1 has keys clipped to 0\.9/, { kv: [HEAD_KV, { ...HEAD_KV, clip: 0.9 }] }],
  ["kv", /layer 1 has keys with ranges that are fitted/, {
    kv: [HEAD_KV, { ...HEAD_KV, fit: true }],
  }],
  ["kv", /layer 1 has keys whose codes make up for those before them, expected each rounded/, {
    kv: [HEAD_KV, HEAD_KV],
    mend: (subject) => {
      const kv = subject.record.kv.map((each, layer) => ({
        ...each,
        ...layer === 1 && { keyCompensation: "AAAA" },
      }));
      return { ...subject, record: { ...subject.record, kv } };
    },
  }],
  ["kv", /the first 2 tokens of a sequence stay in half precision, expected codes of all/, {
    kv: [HEAD_KV, HEAD_KV],
    mend: (subject) => {
      const kv = subject.record.kv.map((each) => ({ ...each, sinks: 2 }));
      return { ...subject, record: { ...subject.record, kv } };
    },
  }],
  ["kv", /layer 0 has keys without a zero point/, {
    kv: [{ ...HEAD_KV, zero: "none" }, { ...HEAD_KV, zero: "none" }],
  }],
  ["kv", /layer 0 has keys of 4 bits with zero none under a static range/, {
    kv: [{ ...HEAD_KV, zero: "none", range: 3 }, { ...HEAD_KV, zero: "none", range: 3 }],
  }],
];

for (const [what, text, model] of REFUSED) {
  Deno.test(`from headers alone QServe's format refuses a model: ${text.source}`, () => {
    const refusals = qserve.refusals(shaped(model), OPTIONS);
    assert.deepEqual(refusals.map(({ what }) => what), [what], JSON.stringify(refusals));
    assert.match(refusals[0]!.text, text);
    assert.match(refusals[0]!.text, /, expected |: expected /);
  });
}

Deno.test("QServe's format refuses other element types, and nothing else of a plain Llama", () => {
  for (const scheme of [CHANNEL, GROUPS, BYTES]) {
    assert.deepEqual(qserve.refusals(shaped({ scheme }), OPTIONS), []);
    const [refusal, more] = qserve.refusals(shaped({ scheme }), { ...OPTIONS, dtype: "bfloat16" });
    assert.match(refusal!.text, /dtype is bfloat16, expected float16/);
    assert.equal(more, undefined);
  }
});

Deno.test("biases of attention travel beside 4-bit weights", () => {
  assert.deepEqual(qserve.refusals(shaped({ json: { attention_bias: true } }), OPTIONS), []);
});

Deno.test("norm gains are refused beside 4-bit weights before anything is written, and kept beside 8-bit ones", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const plain = await writeShaped("llama_wide_heads", await chain.directory());
  const params = (weights: object) => ({ method: "rtn", weights, activations: "dynamic" });
  const four = await chain.run(quantize, { model: plain }, params(PRECISIONS["post-scale a row"]!));
  const left = await chain.refuses(exportModel, {
    inputs: { model: four, reports: [] },
    params: { format: "qserve" },
    message:
      /^Cannot export to qserve: "model\.layers\.0\.input_layernorm\.weight" \(and 4 more norms\) has gain .*, expected 1: .*put rotate or fold before/,
  });
  assert.deepEqual(left, []);
  const eight = await chain.run(quantize, { model: plain }, params(PRECISIONS["8 bits a row"]!));
  await chain.run(exportModel, { model: eight, reports: [] }, { format: "qserve" });
  const folded = await chain.run(fold, { model: plain });
  const mended = await chain.run(
    quantize,
    { model: folded },
    params(PRECISIONS["post-scale a row"]!),
  );
  await chain.run(exportModel, { model: mended, reports: [] }, { format: "qserve" });
});

Deno.test("config.json is what the engine's transformers reads, and says what is in the files", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const plain = await writeShaped("llama_wide_heads", await chain.directory());
  // As transformers 5 writes it, which the engine's transformers would read as 10000.
  const config = JSON.parse(await Deno.readTextFile(`${plain.path}/config.json`));
  const { rope_theta: _, rope_scaling: __, ...kept } = config;
  const rope_parameters = { rope_theta: 500000, rope_type: "default" };
  const json = { ...kept, rope_parameters, tie_word_embeddings: true };
  await Deno.writeTextFile(`${plain.path}/config.json`, JSON.stringify(json));
  const folded = await chain.run(fold, { model: plain });
  const params = {
    method: "rtn",
    weights: PRECISIONS["post-scale in groups"],
    activations: "dynamic",
  };
  const model = await chain.run(quantize, { model: folded }, params);
  const { path } = await chain.run(exportModel, { model, reports: [] }, { format: "qserve" });
  const { quantization_config: said, ...written } = JSON.parse(
    await Deno.readTextFile(`${path}/config.json`),
  );
  assert.equal(written.torch_dtype, "float16");
  assert.equal(written.tie_word_embeddings, false);
  assert.equal(written.rope_theta, 500000);
  assert.equal(written.rope_scaling, null);
  assert.equal(written.rope_parameters, undefined);
  assert.deepEqual(said, {
    quant_method: "qoq",
    bits: 4,
    wbits: 4,
    group_size: 128,
    zero: "post_scale",
    activation_bits: 8,
    activation_granularity: "per_token",
    norms_folded: true,
  });
});

Deno.test("a tied head becomes a tensor of its own, which the engine loads", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const plain = await writeShaped("llama_wide_heads", await chain.directory());
  const config = JSON.parse(await Deno.readTextFile(`${plain.path}/config.json`));
  const json = { ...config, tie_word_embeddings: true };
  await Deno.writeTextFile(`${plain.path}/config.json`, JSON.stringify(json));
  const tensors = await readTensors(`${plain.path}/model.safetensors`);
  tensors.delete("lm_head.weight");
  await writeTensors(`${plain.path}/model.safetensors`, tensors);
  const params = { method: "rtn", weights: PRECISIONS["8 bits a row"], activations: "dynamic" };
  const model = await chain.run(quantize, { model: plain }, params);
  const { path } = await chain.run(exportModel, { model, reports: [] }, { format: "qserve" });
  using checkpoint = await openCheckpoint(path);
  const read = (name: string) => checkpoint.readRaw(name);
  assert.deepEqual(await read("lm_head.weight"), await read("model.embed_tokens.weight"));
});

const FLAWS: readonly (readonly [string, keyof typeof PRECISIONS, FlawedTensor])[] = [
  ["a flipped byte of codes", "post-scale a row", {
    part: "qweight",
    change: (bytes) => void (bytes[1000]! ^= 1),
    breach: /output \d+, input \d+ is/,
  }],
  ["swapped nibbles", "post-scale a row", {
    part: "qweight",
    change: (bytes) => bytes.set(bytes.map((byte) => byte << 4 | byte >> 4)),
    breach: /output \d+, input \d+ is/,
  }],
  ["a scale that is not finite", "pre-scale a row", {
    part: "s1_scales",
    change: (bytes) => bytes.set([0x00, 0x7c], 10),
    breach: /s1_scales": output 5 is Infinity, expected finite/,
  }],
  ["group scales in the order of DeepCompressor's converter", "post-scale in groups", {
    part: "s2_scales",
    change: otherOrder,
    breach: /output \d+, (input|group) \d+/,
  }],
  ["a negative group scale", "post-scale in groups", {
    part: "s2_scales",
    change: (bytes) => bytes.set([0xff], 4),
    breach: /s2_scales": output 1, group 0 is -1, expected 0 to 127/,
  }],
  ["a group scale whose products carry", "post-scale in groups", {
    part: "s2_scales",
    change: (bytes) => bytes.set([100], 1),
    breach: /s2_scales": output 8, group 0 is 100, which makes 1[45]00 of code 1[45].*255/,
  }],
  ["a zero that leaves int8", "post-scale in groups", {
    part: "s2_zeros",
    change: (bytes) => bytes.set([120], 2),
    breach: /s2_zeros": output 16, group 0 is 120, which makes 8-bit weights of \d+, expected -128/,
  }],
  ["a changed 8-bit code", "8 bits a row", {
    part: "weight",
    change: (bytes) => void (bytes[7]! ^= 64),
    breach: /output 0, input 7 is/,
  }],
];

interface FlawedTensor {
  readonly part: string;
  change(bytes: Uint8Array): void;
  readonly breach: RegExp;
}

for (const [words, precision, { part, change, breach }] of FLAWS) {
  Deno.test(`comparing an export finds ${words}`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const model = await quantized(chain, PRECISIONS[precision]!);
    const { path } = await chain.run(exportModel, { model, reports: [] }, { format: "qserve" });
    await patchTensor(path, `${DOWN}.${part}`, change);
    using source = await openSource(model.path);
    using reading = await qserve.open(path);
    const rounding = qserve.rounding(source.subject, OPTIONS);
    const breaches = await Array.fromAsync(verifyReading(reading, { source, rounding }));
    assert.equal(breaches.length, 1, JSON.stringify(breaches));
    assert.equal(breaches[0]!.tensor, DOWN);
    assert.match(breaches[0]!.rule, breach);
  });
}

/** The order 0, 8, 1, 9, ... in which DeepCompressor writes the scales of 32 outputs. */
function otherOrder(bytes: Uint8Array): void {
  const right = bytes.slice();
  for (let at = 0; at < bytes.length; at++) {
    const within = at % 32;
    const output = (within & 16) + (within >> 1 & 7) + 8 * (within & 1);
    bytes[at] = right[at - within + 4 * (output & 7) + (output >> 3)]!;
  }
}

Deno.test("a checkpoint that says nothing of its precision is read by names and shapes", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await quantized(chain, PRECISIONS["post-scale in groups"]!);
  const { path } = await chain.run(exportModel, { model, reports: [] }, { format: "qserve" });
  const config = JSON.parse(await Deno.readTextFile(`${path}/config.json`));
  const { quantization_config: said, ...plain } = config;
  const write = (json: unknown) => Deno.writeTextFile(`${path}/config.json`, JSON.stringify(json));
  await write(plain);
  {
    using checkpoint = await openCheckpoint(path);
    assert.ok(qserve.recognizes(checkpoint));
    using reading = await qserve.open(path);
    assert.deepEqual(reading.linears[DOWN], GROUPS);
    assert.equal(Object.keys(reading.linears).length, 14);
    using source = await openSource(model.path);
    assert.deepEqual(await Array.fromAsync(verifyReading(reading, { source })), []);
  }
  await write({ ...plain, quantization_config: { ...said, group_size: 64 } });
  await assert.rejects(() => qserve.open(path), /group_size 128.*expected group_size 64/);
  await write({ ...plain, quantization_config: { quant_method: "qoq", wbits: 4, group_size: -1 } });
  await assert.rejects(() => qserve.open(path), /group_size 128.*expected group_size -1/);
  await write({ ...plain, quantization_config: { quant_method: "gptq" } });
  await assert.rejects(() => qserve.open(path), /quantization_config is of another kind/);
  await write(config);
  await patchTensor(path, "model.norm.weight", (bytes) => bytes.set([0x00, 0x40], 6));
  await assert.rejects(
    () => qserve.open(path),
    /"model\.norm\.weight" has gain 2 at channel 3, expected 1/,
  );
});

Deno.test("a checkpoint whose linears have no whole tiles is refused before any is read", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await quantized(chain, PRECISIONS["post-scale a row"]!);
  const { path } = await chain.run(exportModel, { model, reports: [] }, { format: "qserve" });
  const config = JSON.parse(await Deno.readTextFile(`${path}/config.json`));
  const json = { ...config, intermediate_size: 240 };
  await Deno.writeTextFile(`${path}/config.json`, JSON.stringify(json));
  await assert.rejects(
    () => qserve.open(path),
    /gate_proj" is 240 by 128, expected multiples of 32/,
  );
});

Deno.test("files of PyTorch are refused with the command that converts them", async () => {
  const path = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${path}/config.json`, "{}");
    await Deno.writeTextFile(`${path}/quant_model.pt`, "");
    await assert.rejects(
      () => qserve.open(path),
      /in quant_model\.pt, expected model\.safetensors; convert .*weights_only=True/,
    );
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});

/** A rotated Llama whose linears have codes of this meaning, under 8-bit inputs. */
async function quantized(chain: StageChain, weights: object): Promise<Artifact> {
  const plain = await writeShaped("llama_wide_heads", await chain.directory());
  const model = await chain.run(rotate, { model: plain });
  return await chain.run(quantize, { model }, { method: "rtn", weights, activations: "dynamic" });
}

/** What tells a model of the tests from a Llama of two layers with 4 bits a row. */
interface ShapedModel {
  readonly json?: Readonly<Record<string, unknown>>;
  readonly scheme?: LinearScheme;
  schemes?(name: string): LinearScheme | undefined;
  readonly kv?: readonly KvScheme[];
  mend?(subject: Subject): Subject;
}

function shaped(
  { json = {}, scheme = CHANNEL, schemes = () => scheme, kv = [], mend = (same) => same }:
    ShapedModel,
): Subject {
  const config = {
    architectures: ["LlamaForCausalLM"],
    hidden_size: 128,
    intermediate_size: 256,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    vocab_size: 96,
    max_position_embeddings: 2048,
    ...json,
  };
  const record = { history: [], hadamard: [], kv: kv.map((each) => ({ key: each, value: each })) };
  const { linears } = subjectOf({ config, record: { ...record, linears: {} } });
  const found = linears.flatMap(({ name }) => {
    const scheme = schemes(name);
    return scheme ? [[name, scheme] as const] : [];
  });
  return mend(subjectOf({ config, record: { ...record, linears: Object.fromEntries(found) } }));
}

function outline(rows: number, columns: number, scheme: LinearScheme) {
  return codedLinear({ name: DOWN, role: "down", rows, columns, scheme });
}
