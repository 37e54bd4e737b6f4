import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { ReferenceDevice } from "../../../../kernels/device/reference.ts";
import { compressed_tensors } from "../../../../stages/exchange/compressed_tensors/format.ts";
import {
  type CompressedLayout,
  layoutParts,
} from "../../../../stages/exchange/compressed_tensors/layout.ts";
import { packTensor } from "../../../../stages/exchange/compressed_tensors/pack.ts";
import { factorsOf } from "../../../../stages/exchange/compressed_tensors/scales.ts";
import { unpackTensors } from "../../../../stages/exchange/compressed_tensors/unpack.ts";
import { type PartValues, readPart } from "../../../../stages/exchange/part_values.ts";
import { openSource } from "../../../../stages/exchange/subject.ts";
import { verifyReading } from "../../../../stages/exchange/verify.ts";
import { calibrate_kv } from "../../../../stages/calibrate_kv.ts";
import { exportModel } from "../../../../stages/export.ts";
import { createCheckpointWriter } from "../../../../stages/formats/checkpoint_writer.ts";
import { bytesOf } from "../../../../stages/formats/half.ts";
import { openDirectory } from "../../../../stages/formats/safetensors/directory.ts";
import { openSafetensors } from "../../../../stages/formats/safetensors/file.ts";
import type { SafetensorsDType } from "../../../../stages/formats/safetensors/header.ts";
import { codedValues } from "../../../../stages/quant/coded_weight.ts";
import type { LinearScheme } from "../../../../stages/quant/schemes.ts";
import { quantize } from "../../../../stages/quantize.ts";
import { codedLinear } from "../../../support/coded_linear.ts";
import { writeShaped } from "../../../support/packable_models.ts";
import { StageChain } from "../../../support/stage_chain.ts";

/** What `tests/oracle/compressed_weights.py` had the library make. */
const FOLDER = fileURLToPath(new URL("../../../testdata/compressed_tensors", import.meta.url));
const MIXED = `${FOLDER}/mixed`;

interface Case {
  readonly format: "pack-quantized" | "int-quantized";
  readonly weights: {
    readonly num_bits: 2 | 3 | 4 | 8;
    readonly symmetric: boolean;
    readonly strategy: "group" | "channel" | "tensor";
    readonly group_size: number | null;
  };
}

const { rows, columns, cases }: {
  readonly rows: number;
  readonly columns: number;
  readonly cases: readonly Case[];
} = JSON.parse(await Deno.readTextFile(`${FOLDER}/linears/config.json`));

for (const [at, { format, weights }] of cases.entries()) {
  const { num_bits: bits, symmetric, strategy, group_size: group } = weights;
  const words = `${format} int${bits} by ${strategy}${symmetric ? "" : " with zero points"}`;
  Deno.test(`${words} is read as the library means it, and written as it writes it`, async () => {
    using checkpoint = await openDirectory(`${FOLDER}/linears`);
    const scheme: LinearScheme = {
      weights: {
        bits,
        zero: symmetric ? "none" : "pre_scale",
        group: strategy === "group" ? group! : strategy === "channel" ? "row" : "tensor",
        levels: 1,
      },
    };
    const packed = format === "pack-quantized";
    const layout: CompressedLayout = {
      codes: packed ? "packed" : "bytes",
      scales: strategy === "tensor" ? "tensor" : "rows",
      zeros: symmetric ? "none" : "packed",
    };
    const linear = codedLinear({ name: `${at}`, rows, columns, scheme });
    const parts: Record<string, PartValues> = {};
    const names = [...checkpoint.tensors.keys()].filter((name) => name.startsWith(`${at}.`));
    for (const name of names) {
      parts[name.slice(`${at}.`.length)] = (await readPart(checkpoint, name))!;
    }
    const { values, ...stored } = parts;
    const outlines = layoutParts(linear, layout);
    assert.deepEqual(outlines.map(({ part }) => part).sort(), Object.keys(stored).sort());
    for (const { part, shape, dtypes } of outlines) {
      const tensor = checkpoint.tensors.get(`${at}.${part}`)!;
      assert.deepEqual(tensor.shape, shape, part);
      assert.ok((dtypes as readonly string[]).includes(tensor.dtype), part);
    }
    const weight = unpackTensors(linear, stored, layout);
    assert.deepEqual(codedValues(weight), values);
    for (const { part } of outlines) {
      // A scale of the whole tensor is written once a row, as vLLM takes it everywhere.
      if (part === "weight_scale" && strategy === "tensor") continue;
      assert.deepEqual(bytesOf(packTensor(weight, part)), bytesOf(stored[part]!), part);
    }
  });
}

Deno.test("groups of a config are found by name, pattern and class, and linears may be ignored", async () => {
  using reading = await compressed_tensors.open(MIXED);
  assert.deepEqual([reading.problems, reading.unexpected], [[], []]);
  const found = Object.fromEntries(
    Object.entries(reading.linears).map(([name, scheme]) => [
      name.replace(/^model\.layers\.(\d)\.\w+\.(\w+)_proj$/, "$1 $2"),
      JSON.stringify(scheme),
    ]),
  );
  const attention = { weights: { bits: 4, zero: "pre_scale", group: 16, levels: 1 } };
  const others = {
    weights: { bits: 4, zero: "none", group: 16, levels: 1 },
    inputs: { bits: 8, range: "dynamic" },
  };
  const down = {
    weights: { bits: 8, zero: "none", group: "row", levels: 1 },
    inputs: { bits: 8, range: 0.03125 * 127 },
  };
  const expected = {
    ...linearsOf(["0 q", "0 k", "0 v", "1 q", "1 k", "1 v"], attention),
    ...linearsOf(["0 o", "0 gate", "0 up", "1 gate", "1 up", "1 down"], others),
    "0 down": JSON.stringify(down),
  };
  assert.deepEqual(found, expected);
});

function linearsOf(names: readonly string[], scheme: object): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, JSON.stringify(scheme)]));
}

Deno.test("a checkpoint of the library has the values that the library gives it", async () => {
  using reading = await compressed_tensors.open(MIXED);
  using values = await openSafetensors(`${MIXED}/values.st`);
  assert.deepEqual(Object.keys(reading.linears).sort(), [...values.tensors.keys()].sort());
  for (const name of values.tensors.keys()) {
    assert.deepEqual(codedValues(await reading.linear(name)), await values.read(name), name);
  }
  assert.ok(compressed_tensors.recognizes(reading.checkpoint));
  assert.equal(JSON.stringify(reading.config).includes("quantization"), false);
});

Deno.test("two levels are taken apart from scales that are their products, and from no others", () => {
  const products = Float32Array.of(3, 17, 8).map((factor) => factor * Math.f16round(0.0123));
  assert.deepEqual(factorsOf(products), { row: Math.f16round(0.0123), groups: [3, 17, 8] });
  // Their common factor 5125 has 13 binary digits, too many for a half; a fifth of it has 11.
  assert.deepEqual(factorsOf([5 * 1025, 15 * 1025]), { row: 1025, groups: [5, 15] });
  assert.deepEqual(factorsOf([2 ** -24, 2 ** -17]), undefined);
  assert.deepEqual(factorsOf([0.1, 0.25]), undefined);
  assert.deepEqual(factorsOf([0, 1]), undefined);
  assert.deepEqual(factorsOf([1, Infinity]), undefined);
  assert.deepEqual(factorsOf([1, NaN]), undefined);
});

/** What a group of a config can say that cannot be read, and the sentence that answers. */
const REFUSED: readonly (readonly [change: (claim: Claim) => void, message: RegExp])[] = [
  [(claim) => claim.kv_cache_scheme = { num_bits: 8, type: "float" }, /has a kv_cache_scheme/],
  [(claim) => claim.sparsity_config = { format: "dense" }, /has a sparsity_config/],
  [(claim) => claim.transform_config = { config_groups: {} }, /has a transform_config/],
  [(claim) => group(claim).format = "float-quantized", /has the format float-quantized/],
  [(claim) => group(claim).output_activations = {}, /quantizes outputs/],
  [(claim) => group(claim).weights = null, /quantizes inputs of dense weights/],
  [(claim) => group(claim).weights!.num_bits = 5, /weights of int5, expected int2/],
  [(claim) => group(claim).weights!.type = "float", /weights of float4/],
  [(claim) => group(claim).weights!.group_size = 24, /groups of 24, expected what divides 32/],
  [(claim) => group(claim).weights!.strategy = "block", /weights by block/],
  [(claim) => group(claim).input_activations!.symmetric = false, /asymmetric inputs of int8/],
  [(claim) => group(claim).input_activations!.num_bits = 4, /inputs of int4 by dynamic token/],
  [(claim) => group(claim).targets = ["re:(a|aa)+$"], /could take forever/],
  [(claim) => claim.ignore = [`re:${".*".repeat(500)}!`], /could take forever/],
  [(claim) => group(claim).targets = ["re:("], /is no pattern/],
  [(claim) => claim.config_groups = { W4A16: ["Linear"] }, /config_groups\.W4A16 of its/],
];

interface Claim extends Record<string, unknown> {
  config_groups: Record<string, unknown>;
}

type Args = Record<string, unknown>;

function group(claim: Claim) {
  return claim.config_groups.others as {
    targets: string[];
    format: string;
    weights: Args | null;
    input_activations: Args | null;
    output_activations: Args | null;
  };
}

Deno.test("what a config says that has no place here is refused in a sentence", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  for (const [change, message] of REFUSED) {
    const path = await changed(chain, { claim: change });
    await assert.rejects(() => compressed_tensors.open(path), (error: Error) => {
      assert.match(error.message, /^Cannot read "[^\n]*" as compressed_tensors: [^\n]*, expected /);
      assert.match(error.message, message);
      return true;
    });
  }
});

const Q = "model.layers.0.self_attn.q_proj";
const O = "model.layers.0.self_attn.o_proj";

/** Damage to tensors, and the rule that is broken. */
const DAMAGED: readonly (readonly [tensor: string, damage: (bytes: DataView) => void, RegExp])[] = [
  [`${Q}.weight_shape`, (bytes) => bytes.setInt32(0, 31, true), /weight_shape" is \[31, 32\]/],
  [
    `${O}.weight`,
    (bytes) => bytes.setInt8(5, 8),
    /o_proj\.weight": value 5 is 8, expected -8 to 7/,
  ],
  [`${O}.weight_scale`, (bytes) => bytes.setUint16(2, 0x7f80, true), /value 1 is Infinity/],
  [`${O}.weight_scale`, (bytes) => bytes.setUint16(2, 0x0d00, true), /what half precision holds/],
];

Deno.test("a tensor that breaks a rule is named with the rule", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  for (const [tensor, damage, message] of DAMAGED) {
    const path = await changed(chain, { tensor, damage });
    using reading = await compressed_tensors.open(path);
    const breaches = await Array.fromAsync(verifyReading(reading));
    assert.deepEqual(breaches.map(({ tensor }) => tensor), [tensor.replace(/\.\w+$/, "")]);
    assert.match(breaches[0]!.rule, message);
    assert.match(breaches[0]!.rule, /^tensor "[^\n]*expected/);
  }
});

Deno.test("missing tensors, other shapes and other types are found in headers", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const problems = async (change: Parameters<typeof changed>[1]) => {
    using reading = await compressed_tensors.open(await changed(chain, change));
    return [...reading.problems, ...reading.unexpected];
  };
  const down = "model.layers.0.mlp.down_proj";
  const dropped = await problems({ drop: `${down}.input_scale` });
  assert.deepEqual(dropped, [`tensor "${down}.input_scale" is missing`]);
  const wider = await problems({
    claim: (claim) => (claim.config_groups.attention as { weights: Args }).weights.num_bits = 8,
  });
  assert.match(wider.join("\n"), /q_proj\.weight_packed" in .* is \[32, 4\], expected \[32, 8\]/);
  const unsaid = await problems({ claim: (claim) => claim.ignore = ["re:.*"] });
  assert.ok(unsaid.includes(`${Q}.weight_packed`));
});

Deno.test("groups over ordered inputs are refused unless the order is that of the inputs", async () => {
  const linear = codedLinear({
    name: "0",
    rows,
    columns,
    scheme: { weights: { bits: 4, zero: "none", group: 32, levels: 1 } },
  });
  const layout: CompressedLayout = { codes: "packed", scales: "rows", zeros: "none" };
  using checkpoint = await openDirectory(`${FOLDER}/linears`);
  const parts: Record<string, PartValues> = {};
  for (const part of ["weight_packed", "weight_scale", "weight_shape"]) {
    parts[part] = (await readPart(checkpoint, `0.${part}`))!;
  }
  const plain = unpackTensors(linear, parts, layout);
  const read = (order: (column: number) => number) =>
    unpackTensors(linear, {
      ...parts,
      weight_g_idx: Int32Array.from({ length: columns }, (_, column) => order(column)),
    }, layout);
  assert.deepEqual(read(() => -1), plain);
  assert.deepEqual(read((column) => Math.floor(column / 32)), plain);
  assert.throws(() => read((column) => column % 2), /g_idx" puts input 1 into group 1, expected 0/);
});

/** A weight of 32 inputs whose scales are products of 0.01 and 1 to 18, with one thing changed. */
const LEVELS: readonly (readonly [what: string, change: (weight: Levels) => void, RegExp])[] = [
  [
    "a code below -7",
    ({ codes }) => codes[40] = -8,
    /codes -8 to 7 of output 1, group 0 make 8-bit weights of -8 to 7 by a scale of 1/,
  ],
  [
    "a scale that leaves int8",
    ({ scales }) => scales[3] = 19 * scales[2]!,
    /codes -7 to 7 of output 1, group 1 make 8-bit weights of -133 to 133 by a scale of 19/,
  ],
  [
    "a scale that is no product",
    ({ scales }) => scales[3] = Math.f16round(0.0477),
    /the scales of output 1 are no products/,
  ],
];

interface Levels {
  readonly codes: Int8Array<ArrayBuffer>;
  readonly scales: Float16Array<ArrayBuffer>;
}

for (const [what, change, message] of LEVELS) {
  Deno.test(`two-level weights with ${what} are refused`, () => {
    const scheme = { weights: { bits: 4, zero: "none", group: 16, levels: 2 } } as const;
    const shape = { rows: 2, columns: 32 };
    const linear = codedLinear({ name: "l", ...shape, scheme });
    const layout: CompressedLayout = { codes: "bytes", scales: "rows", zeros: "none" };
    const codes = Int8Array.from({ length: 64 }, (_, i) => i % 15 - 7);
    const one = 41 / 4096;
    const weight = { codes, scales: Float16Array.of(one, 18 * one, one, 2 * one) };
    const read = () =>
      unpackTensors(linear, { weight: codes, weight_scale: weight.scales }, layout);
    assert.deepEqual([...read().scales], [1, 18, 1, 2]);
    change(weight);
    assert.throws(read, message);
  });
}

/** What `quantize` is told, and what is read from the export of that. */
const OURS: readonly (readonly [params: object, expected: object, scales: string])[] = [
  [
    { weights: { bits: 4, zero: "none", group: 64, levels: 2 }, activations: "dynamic" },
    { weights: { bits: 4, zero: "none", group: 64, levels: 2 }, inputs: DYNAMIC() },
    "F16",
  ],
  [
    { weights: { bits: 4, zero: "pre_scale", group: 32, levels: 2 }, activations: "dynamic" },
    { weights: { bits: 4, zero: "pre_scale", group: 32, levels: 2 }, inputs: DYNAMIC() },
    "F32",
  ],
  [
    { weights: { bits: 8, zero: "none", group: "tensor" }, activations: "dynamic" },
    { weights: { bits: 8, zero: "none", group: "row", levels: 1 }, inputs: DYNAMIC() },
    "F16",
  ],
  [
    { weights: { bits: 4, zero: "pre_scale", group: "row" } },
    { weights: { bits: 4, zero: "pre_scale", group: "row", levels: 1 } },
    "F16",
  ],
];

function DYNAMIC() {
  return { bits: 8, range: "dynamic" };
}

Deno.test("an export is read back in the scheme it was made from", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await writeShaped("llama_wide_heads", await chain.directory());
  for (const [params, expected, scales] of OURS) {
    const quantized = await chain.run(quantize, { model }, { method: "rtn", ...params });
    const exported = await chain.run(exportModel, { model: quantized, reports: [] }, {
      format: "compressed_tensors",
    });
    using reading = await compressed_tensors.open(exported.path);
    for (const scheme of Object.values(reading.linears)) assert.deepEqual(scheme, expected);
    assert.equal(reading.checkpoint.tensors.get(`${Q}.weight_scale`)!.dtype, scales);
  }
});

Deno.test("static inputs keep their range, and several schemes are told apart", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await writeShaped("qwen2_untied", await chain.directory());
  const stats = await chain.calibrate(model);
  const w8a8 = await chain.run(quantize, { model, stats }, {
    method: "rtn",
    weights: { bits: 8, zero: "none", group: "row" },
    activations: "static",
    skips: ["down_proj"],
  });
  const { path } = await chain.run(exportModel, { model: w8a8, reports: [] }, {
    format: "compressed_tensors",
  });
  using source = await openSource(w8a8.path);
  using reading = await compressed_tensors.open(path);
  assert.equal(Object.keys(reading.linears).length, 12);
  for (const { name, scheme } of source.subject.linears) {
    const range = scheme?.inputs?.range as number | undefined;
    const read = reading.linears[name]?.inputs?.range;
    // The kernel's scale is the half nearest to range / 127, which is what the file holds.
    assert.equal(read, range && Math.f16round(Math.fround(Math.fround(range) / 127)) * 127, name);
  }
  const { ignore } = claimOf(reading.checkpoint.path);
  assert.deepEqual(ignore, ["lm_head", ...[0, 1].map((at) => `model.layers.${at}.mlp.down_proj`)]);
});

/** What cannot be exported, and the sentence that says why. */
const KEPT_OUT: readonly (readonly [params: object, what: string, message: RegExp])[] = [
  [
    { weights: { bits: 4, zero: "post_scale", group: 64 } },
    "model",
    /^model\.layers\.0\.self_attn\.q_proj and 13 other linears have zeros behind the scale/,
  ],
  [
    { weights: { bits: 4, zero: "post_scale", group: 64, levels: 2 }, activations: "dynamic" },
    "model",
    /\(W4 g64 two-level post-scale\), expected .* quantize with zero pre_scale or none$/,
  ],
  [
    { weights: { bits: 4, zero: "none", group: "row" }, activations: "static" },
    "activations",
    /static range beside less than 8 bits, expected a scale a token/,
  ],
  [{ skips: ["qkv_proj", "out_proj", "up_proj"] }, "kv", /its KV cache has 4 bits, expected none/],
];

Deno.test("what the format or its engine cannot hold is refused with what may be given up", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await writeShaped("llama_wide_heads", await chain.directory());
  const stats = await chain.calibrate(model);
  const options = { dtype: "float16", shardBytes: 1e9 } as const;
  using plain = await openSource(model.path);
  assert.match(compressed_tensors.refusals(plain.subject, options)[0]!.text, /none of its linears/);
  for (const [params, what, message] of KEPT_OUT) {
    const weights = { weights: { bits: 4, zero: "none", group: 64 } };
    let quantized = await chain.run(quantize, { model, stats }, {
      method: "rtn",
      ...weights,
      ...params,
    });
    if (what === "kv") quantized = await chain.run(calibrate_kv, { model: quantized, stats });
    using source = await openSource(quantized.path);
    const refusals = compressed_tensors.refusals(source.subject, options);
    assert.deepEqual(refusals.map(({ what }) => what), [what]);
    assert.match(refusals[0]!.text, message);
  }
});

/** What `quantize` is told, and what engines are told about it and then do otherwise. */
const RUN: readonly (readonly [params: object, vllm: RegExp, transformers: RegExp])[] = [
  [{ weights: { bits: 4, zero: "none", group: 64 } }, /^vllm serve DIR$/, /^\w+\.\w+\("DIR"\)$/],
  [
    { weights: { bits: 4, zero: "none", group: 64, levels: 2 }, activations: "dynamic" },
    /--linear-backend humming only its Humming kernel/,
    /"DIR"\).* go down to -128/,
  ],
  [
    { weights: { bits: 4, zero: "pre_scale", group: 32, levels: 2 }, activations: "dynamic" },
    /rounds scales to half precision.*only its Humming/,
    /dequantize=True\)\).*leaves inputs in floating point/,
  ],
  [
    { weights: { bits: 3, zero: "none", group: 16 } },
    /^vllm serve DIR .*2 and 3 bits.*groups of 32, 64 or 128, this model has 16/,
    /"DIR"\)/,
  ],
  [
    { weights: { bits: 8, zero: "none", group: "row" }, activations: "dynamic" },
    /^vllm serve DIR$/,
    /"DIR"\).* go down to -128/,
  ],
];

Deno.test("engines are told the flags that a scheme needs, and what they do otherwise is said", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await writeShaped("llama_wide_heads", await chain.directory());
  for (const [params, ...expected] of RUN) {
    const quantized = await chain.run(quantize, { model }, { method: "rtn", ...params });
    using source = await openSource(quantized.path);
    const engines = compressed_tensors.engines(source.subject, {
      dtype: "float16",
      shardBytes: 1e9,
    });
    assert.deepEqual(engines.map(({ engine }) => engine), ["vllm", "transformers"]);
    engines.forEach(({ command, limits }, at) => {
      const said = limits.filter((limit) => !limit.includes("which rounds each weight"));
      assert.match([command, ...said].join(" "), expected[at]!);
    });
  }
});

function claimOf(path: string): Record<string, unknown> {
  return JSON.parse(Deno.readTextFileSync(`${path}/config.json`)).quantization_config;
}

/** A copy of the library's checkpoint with something changed. */
async function changed(
  chain: StageChain,
  { claim, tensor, damage, drop }: {
    readonly claim?: (claim: Claim) => void;
    readonly tensor?: string;
    readonly damage?: (bytes: DataView) => void;
    readonly drop?: string;
  },
): Promise<string> {
  const out = await chain.directory();
  const json = JSON.parse(await Deno.readTextFile(`${MIXED}/config.json`));
  claim?.(json.quantization_config);
  await Deno.writeTextFile(`${out}/config.json`, JSON.stringify(json));
  using checkpoint = await openDirectory(MIXED);
  const kept = [...checkpoint.tensors.values()].filter(({ name }) => name !== drop);
  using writer = await createCheckpointWriter(
    out,
    kept.map(({ name, dtype, shape }) => ({ name, dtype: dtype as SafetensorsDType, shape })),
  );
  for (const { name } of kept) {
    const bytes = await checkpoint.readRaw(name);
    if (name === tensor) damage?.(new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
    await writer.write(name, bytes);
  }
  await writer.close();
  return out;
}
