import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { fixedScale, hasScales } from "../../../../kernels/codes/kv_scheme.ts";
import { ReferenceDevice } from "../../../../kernels/device/reference.ts";
import type { Artifact } from "../../../../pipeline/artifact.ts";
import { FORMATS } from "../../../../stages/exchange/find_format.ts";
import { openSource, without } from "../../../../stages/exchange/subject.ts";
import { evaluate } from "../../../../stages/evaluate.ts";
import { exportModel } from "../../../../stages/export.ts";
import { openCheckpoint } from "../../../../stages/models/open_checkpoint.ts";
import type { ModelOutline } from "../../../../stages/facts.ts";
import { openSafetensors, writeSafetensors } from "../../../../stages/formats/safetensors/file.ts";
import { load } from "../../../../stages/load.ts";
import { calibrate_kv } from "../../../../stages/mod.ts";
import { copyModelFiles } from "../../../../stages/models/rewrite.ts";
import {
  type ModelRecord,
  readModelRecord,
  writeModelRecord,
} from "../../../../stages/models/model_record.ts";
import { quantize } from "../../../../stages/quantize.ts";
import { rotate } from "../../../../stages/rotate.ts";
import { relativeError } from "../../../support/forward_pass.ts";
import { writeShaped } from "../../../support/packable_models.ts";
import { editConfig, overwrite } from "../../../support/checkpoint_patch.ts";
import { StageChain } from "../../../support/stage_chain.ts";

const TORCH = fileURLToPath(new URL("../../../testdata/torch", import.meta.url));
const Q = "model.layers.0.self_attn.q_proj";
const UP = "model.layers.1.mlp.up_proj";

/** Precisions of which each is the home of some format. */
const SCHEMES: Readonly<Record<string, object>> = {
  "W4 g32 none": { weights: { bits: 4, zero: "none", group: 32 } },
  "W4 row none": { weights: { bits: 4, zero: "none", group: "row" } },
  "W4 g64 pre-scale": { weights: { bits: 4, zero: "pre_scale", group: 64 } },
  "W4 g128 post-scale": { weights: { bits: 4, zero: "post_scale", group: 128 } },
  "W8 g32 none": { weights: { bits: 8, zero: "none", group: 32 } },
  "W4 row post-scale A8": {
    weights: { bits: 4, zero: "post_scale", group: "row" },
    activations: "dynamic",
  },
  "W4 g128 two-level A8": {
    weights: { bits: 4, zero: "post_scale", group: 128, levels: 2 },
    activations: "dynamic",
  },
  "W8 row none A8": {
    weights: { bits: 8, zero: "none", group: "row" },
    activations: "dynamic",
  },
};

Deno.test("load keeps an artifact of ours with its codes, its record and its very bytes", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const plain = await writeShaped("llama_llama3_gqa_tied", await chain.directory());
  const loaded = await chain.run(load, {}, { model: plain.path });
  const rotated = await chain.run(rotate, { model: loaded });
  const stats = await chain.calibrate(rotated);
  const codes = await chain.run(quantize, { model: rotated }, { method: "rtn" });
  const model = await chain.run(calibrate_kv, { model: codes, stats });
  for (const artifact of [rotated, model]) {
    const again = await chain.run(load, {}, { model: artifact.path });
    assert.deepEqual(await filesOf(again), await filesOf(artifact));
  }
});

for (const [words, params] of Object.entries(SCHEMES)) {
  Deno.test(`load reads ${words} back from every format that holds it, with the same logits`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    // Without scaled positions and gains of norms, for which QServe has no place.
    const shaped = await writeShaped("llama_wide_heads", await chain.directory());
    const plain = await chain.edited(
      shaped,
      (name, values) => void (name.endsWith("norm.weight") && values.fill(1)),
    );
    const model = await chain.run(quantize, { model: plain }, { method: "rtn", ...params });
    let held = 0;
    for (const format of Object.keys(FORMATS)) held += Number(await readBack(chain, model, format));
    assert.ok(held >= 2, `${held} formats hold ${words}, expected two or more`);
  });
}

/** Exports, loads and runs a model; false where the format refuses it. */
async function readBack(chain: StageChain, model: Artifact, format: string): Promise<boolean> {
  using source = await openSource(model.path);
  // All that is dense fits half precision exactly.
  const options = { dtype: "float16", shardBytes: 5e9 } as const;
  const refusals = FORMATS[format]!.refusals(source.subject, options);
  if (refusals.some(({ what }) => what === "model")) return false;
  const ignore = [...new Set(refusals.map(({ what }) => what))]
    .filter((what) => what !== "model");
  const rounding = FORMATS[format]!.rounding(without(source.subject, ignore), options);
  const params = { format, ignore, dtype: "float16" };
  const exported = await chain.run(exportModel, { model, reports: [] }, params);
  const isFile = await Deno.stat(`${exported.path}/model.gguf`).then(() => true, () => false);
  const place = isFile ? `${exported.path}/model.gguf` : exported.path;
  const kept = await chain.run(load, {}, { model: place, dtype: "float32", codes: "keep" });
  const record = await readModelRecord(kept.path);
  if (Object.keys(record.linears).length > 0) {
    assert.deepEqual(record.history, [{ stage: "load", params: { format } }]);
    assert.equal(Object.keys(record.linears).length, 14, format);
    const expected = await chain.logits(await givenUp(chain, model, ignore));
    const got = await chain.logits(kept);
    if (rounding === 0 && sameWords(record.linears, source.subject.record.linears)) {
      assert.deepEqual(got, expected, format);
    } else assert.ok(relativeError(got, expected) < Math.max(2e-5, 20 * rounding), format);
  } else assert.ok(["huggingface", "gguf"].includes(format), `${format} came without codes`);
  const values = { model: place, dtype: "float32", codes: "dequantize" };
  const dense = await chain.run(load, {}, values);
  assert.deepEqual((await readModelRecord(dense.path)).linears, {});
  using got = await openCheckpoint(dense.path);
  using wanted = await openCheckpoint(
    (await chain.run(load, {}, { ...values, model: model.path })).path,
  );
  assert.equal((got.config as Record<string, unknown>).quantization_config, undefined);
  for (const name of [`${Q}.weight`, `${UP}.weight`, "model.embed_tokens.weight"]) {
    const [values, exact] = [await got.read(name), await wanted.read(name)];
    const expected = format === "huggingface" ? exact.map(Math.f16round) : exact;
    if (rounding === 0) assert.deepEqual(values, expected, `${name} from ${format}`);
    else assert.ok(relativeError(values, expected) <= rounding, `${name} from ${format}`);
  }
  return true;
}

/** The model without the precision that an export leaves out. */
async function givenUp(
  chain: StageChain,
  model: Artifact,
  ignore: readonly ("activations" | "kv")[],
): Promise<Artifact> {
  if (ignore.length === 0) return model;
  using source = await openSource(model.path);
  // Two levels have no kernel without 8-bit inputs.
  if (Object.values(source.subject.record.linears).some(({ weights }) => weights.levels === 2)) {
    const params = { model: model.path, dtype: "float32", codes: "dequantize" };
    return { ...model, ...await chain.run(load, {}, params), kind: "model" };
  }
  const path = await chain.directory();
  await copyModelFiles(model.path, path);
  const { linears, kv } = without(source.subject, ignore).record;
  await writeModelRecord(path, { ...await readModelRecord(model.path), linears, kv });
  return { ...model, path };
}

function sameWords(a: object, b: object): boolean {
  const words = (linears: object) => JSON.stringify(Object.entries(linears).sort());
  return words(a) === words(b);
}

Deno.test("load reads the KV cache's precision back with QServe's codes", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const shaped = await writeShaped("llama_wide_heads", await chain.directory());
  const plain = await chain.edited(
    shaped,
    (name, values) => void (name.endsWith("norm.weight") && values.fill(1)),
  );
  const stats = await chain.calibrate(plain);
  const codes = await chain.run(quantize, { model: plain }, {
    method: "rtn",
    ...SCHEMES["W4 g128 two-level A8"],
  });
  for (
    const params of [
      { bits: 8, zero: "none", range: "static" },
      { bits: 4, zero: "post_scale", range: "dynamic" },
    ]
  ) {
    const model = await chain.run(calibrate_kv, { model: codes, stats }, params);
    const { path } = await chain.run(exportModel, { model, reports: [] }, { format: "qserve" });
    const loaded = await chain.run(load, {}, { model: path, dtype: "float32" });
    const [got, expected] = await Promise.all(
      [loaded, model].map(async ({ path }) => (await readModelRecord(path)).kv.flatMap(kvWords)),
    );
    assert.deepEqual(got, expected);
    assert.equal(got?.length, 4);
  }
});

/** What cached codes mean: a fixed range by the scale it gives. */
function kvWords({ key, value }: ModelRecord["kv"][number]): string[] {
  return [key, value].map((scheme) =>
    [scheme.bits, scheme.zero, scheme.group, hasScales(scheme), fixedScale(scheme)].join(" ")
  );
}

Deno.test("load gives the values of codes in full precision where that is asked for", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const plain = await writeShaped("qwen2_tied", await chain.directory());
  const model = await chain.run(quantize, { model: plain }, {
    method: "rtn",
    weights: { bits: 4, zero: "pre_scale", group: 32 },
  });
  const dense = await chain.run(load, {}, {
    model: model.path,
    dtype: "float32",
    codes: "dequantize",
  });
  const { linears, history } = await readModelRecord(dense.path);
  assert.deepEqual(linears, {});
  assert.deepEqual(history.map(({ stage }) => stage), ["quantize", "load"]);
  using source = await openSource(model.path);
  using checkpoint = await openCheckpoint(dense.path);
  const { codes, scales, zeros, columns } = await source.linear(Q);
  const values = await checkpoint.read(`${Q}.weight`);
  // One value by hand: row 3, column 70 lies in group 2 of the row.
  const at = 3 * columns + 70;
  const group = 3 * (columns / 32) + 2;
  assert.equal(values[at], Math.fround((codes[at]! - zeros![group]!) * scales[group]!));
  const error = relativeError(await chain.logits(dense), await chain.logits(model));
  assert.ok(error < 2e-5, `relative error ${error}`);
});

Deno.test("evaluate scores a checkpoint that was loaded in codes as the model it was made from", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const plain = await writeShaped("llama_llama3_gqa_tied", await chain.directory());
  const model = await chain.run(quantize, { model: plain }, {
    method: "rtn",
    weights: { bits: 4, zero: "none", group: 32 },
  });
  const exported = await chain.run(exportModel, { model, reports: [] }, {
    format: "gguf",
    dtype: "float32",
  });
  const loaded = await chain.run(load, {}, {
    model: `${exported.path}/model.gguf`,
    dtype: "float32",
    codes: "keep",
  });
  const tokens = await chain.tokens(64);
  const reports = await Promise.all([model, loaded].map(async (model) => {
    const { path } = await chain.run(evaluate, { model, tokens }, { context: 32 });
    return JSON.parse(await Deno.readTextFile(`${path}/report.json`));
  }));
  assert.deepEqual(reports[1].scores, reports[0].scores);
  assert.equal(reports[1].model.scheme, "W4 g32 none A16 KV16");
});

/** A record that may be wrong. */
interface AnyRecord {
  version: number;
  linears: Record<string, { weights: Record<string, unknown>; inputs?: unknown }>;
  lineage: unknown[];
  kv: unknown[];
}

type Edit = (record: AnyRecord) => void;

const RECORDS: readonly (readonly [what: string, edit: Edit, message: RegExp])[] = [
  [
    "names a linear the model lacks",
    ({ linears }) => void (linears["model.layers.9.mlp.up_proj"] = linears[Q]!),
    /tells of "model\.layers\.9\.mlp\.up_proj", expected linears of the model/,
  ],
  [
    "has another group than the tensors",
    ({ linears }) => void (linears[Q]!.weights.group = 64),
    /q_proj\.scales" in .* is \[128, 4\], expected \[128, 2\]/,
  ],
  [
    "has a group that divides nothing",
    ({ linears }) => void (linears[Q]!.weights.group = 48),
    /no kernel can quantize .* in groups of 48.*; set codes to dequantize/,
  ],
  [
    "has another zero than the tensors",
    ({ linears }) => void (linears[Q]!.weights.zero = "none"),
    /tensor "model\.layers\.0\.self_attn\.q_proj\.zeros" is there, expected none/,
  ],
  [
    "has a width there is not",
    ({ linears }) => void (linears[Q]!.weights.bits = 5),
    /linears.*weights\.bits: .*expected a record of this program/,
  ],
  [
    "leads out of the directory",
    (record) => void (record.lineage = [{ from: "a", file: "../channels-0.safetensors" }]),
    /lineage\.0\.file: .*expected a record of this program/,
  ],
  [
    "has the KV cache of fewer layers",
    (record) => {
      const scheme = { bits: 8, zero: "none", group: 64 };
      record.kv = [{ key: scheme, value: scheme }];
    },
    /tells of the KV cache of 1 layers, expected 2 or none/,
  ],
  [
    "compensates keys of other heads",
    (record) => {
      const scheme = { bits: 8, zero: "none", group: 64 };
      const keyCompensation = btoa("only six bytes: no");
      record.kv = [0, 1].map(() => ({ key: scheme, value: scheme, keyCompensation }));
    },
    /has 24 characters of a layer's keyCompensation, expected \d+ for \d heads of \d+ channels/,
  ],
  [
    "has sinks in one layer only",
    (record) => {
      const scheme = { bits: 8, zero: "none", group: 64 };
      record.kv = [0, 1].map((layer) => ({
        key: scheme,
        value: scheme,
        ...layer === 0 && { sinks: 4 },
      }));
    },
    /keeps the first 4 tokens of layer 0 in half precision and 0 of another .* expected as many/,
  ],
  [
    "asks for inputs that no kernel takes",
    ({ linears }) => void (linears[Q]!.inputs = { bits: 8, range: "dynamic" }),
    /no kernel can run .* one integer sum .*; set codes to dequantize/,
  ],
  [
    "quantizes the input of one site in two ways",
    ({ linears }) => {
      const row = { bits: 4, zero: "none", group: "row", levels: 1 };
      const [q, k] = [Q, Q.replace("q_proj", "k_proj")];
      linears[q] = { weights: row, inputs: { bits: 8, range: 2 } };
      linears[k] = { weights: row, inputs: { bits: 8, range: 3 } };
    },
    /codes of ".*k_proj": its inputs are .*3.*, expected .*2.* as at ".*q_proj".*; set codes to/,
  ],
  ["is of a later version", (record) => void (record.version = 2), /version: .*expected a record/],
];

for (const [what, edit, message] of RECORDS) {
  Deno.test(`load says so when the record of an artifact ${what}`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const model = await packed(chain);
    const record: AnyRecord = JSON.parse(await Deno.readTextFile(`${model}/model.json`));
    edit(record);
    await Deno.writeTextFile(`${model}/model.json`, JSON.stringify(record));
    await assert.rejects(() => chain.run(load, {}, { model }), says(message));
  });
}

Deno.test("load leaves a `model.json` of another program alone", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { path } = await writeShaped("llama_llama3_gqa_tied", await chain.directory());
  await Deno.writeTextFile(`${path}/model.json`, `{"format":"graph-model","weightsManifest":[]}`);
  const loaded = await chain.run(load, {}, { model: path });
  assert.ok(!(await filesOf(loaded)).has("model.json"));
});

Deno.test("load names linear, part and place of a number that is none", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await packed(chain);
  await editTensors(model, `${UP}.scales`, (values) => void (values[7] = Infinity));
  const message =
    /the codes of "model\.layers\.1\.mlp\.up_proj": value 7 of its scales is Infinity/;
  await assert.rejects(() => chain.run(load, {}, { model }), says(message));
});

Deno.test("load refuses codes that no format reads, and names their method", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { path } = await writeShaped("llama_llama3_gqa_tied", await chain.directory());
  const claim = (quant_method: string) =>
    editConfig(path, (config) => void (config.quantization_config = { quant_method }));
  await claim("bitsandbytes");
  await editTensors(path, `${Q}.weight`, undefined, new Uint8Array(128 * 64));
  const message = new RegExp(
    `"${Q}\\.weight" holds codes, quantized by quant_method "bitsandbytes", expected plain weights, .*gguf`,
  );
  await assert.rejects(() => chain.run(load, {}, { model: path }), says(message));
});

Deno.test("load takes plain weights as they are where config.json says they are quantized", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { path } = await writeShaped("llama_llama3_gqa_tied", await chain.directory());
  await editConfig(path, (config) => void (config.quantization_config = { quant_method: "quark" }));
  const loaded = await chain.run(load, {}, { model: path });
  assert.match(
    chain.notes.join("\n"),
    /config\.json says quant_method "quark", but all weights are/,
  );
  using checkpoint = await openCheckpoint(loaded.path);
  assert.ok(!Object.hasOwn(checkpoint.config as object, "quantization_config"));
});

Deno.test("load gives the values of GPTQ codes whose groups are over permuted columns, and keeps none", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const plain = await writeShaped("llama_wide_heads", await chain.directory());
  const weights = { bits: 4, zero: "none", group: 32 };
  const model = await chain.run(quantize, { model: plain }, { method: "rtn", weights });
  const { path } = await chain.run(exportModel, { model, reports: [] }, { format: "gptq" });
  // The first column now belongs to the last group, and so on.
  await overwrite(
    path,
    `${Q}.g_idx`,
    Int32Array.from({ length: 128 }, (_, k) => Math.floor((127 - k) / 32)),
  );
  await editConfig(path, (config) => {
    Object.assign(config.quantization_config as object, { desc_act: true });
  });
  const params = { model: path, dtype: "float32" };
  await assert.rejects(
    () => chain.run(load, {}, params),
    ({ message }: Error) => /q_proj.*g_idx.*dequantize/.test(message),
  );
  const dense = await chain.run(load, {}, { ...params, codes: "dequantize" });
  using source = await openSource(model.path);
  const { codes, scales, columns } = await source.linear(Q);
  using checkpoint = await openCheckpoint(dense.path);
  const values = await checkpoint.read(`${Q}.weight`);
  for (const [row, column] of [[0, 0], [5, 31], [5, 32], [77, 100]] as const) {
    const group = Math.floor((127 - column) / 32);
    const expected = Math.fround(codes[row * columns + column]! * scales[row * 4 + group]!);
    assert.equal(values[row * columns + column], expected, `row ${row}, column ${column}`);
  }
});

for (
  const [format, file, words] of [
    ["gptq", "quantize_config.json", { bits: 4, group_size: 32, sym: false, desc_act: false }],
    ["auto_awq", "quant_config.json", {
      zero_point: true,
      q_group_size: 32,
      w_bit: 4,
      version: "GEMM",
    }],
  ] as const
) {
  Deno.test(`load reads ${format} codes of which ${file} tells`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const plain = await writeShaped("llama_wide_heads", await chain.directory());
    const weights = { bits: 4, zero: "pre_scale", group: 32 };
    const model = await chain.run(quantize, { model: plain }, { method: "rtn", weights });
    const params = { format: format === "gptq" ? "gptq_v2" : format };
    const { path } = await chain.run(exportModel, { model, reports: [] }, params);
    await Deno.remove(`${path}/quantize_config.json`).catch(() => {});
    const v2 = format === "gptq" ? { checkpoint_format: "gptq_v2" } : {};
    await Deno.writeTextFile(`${path}/${file}`, JSON.stringify({ ...words, ...v2 }));
    await editConfig(path, (config) => void delete config.quantization_config);
    const loaded = await chain.run(load, {}, { model: path, dtype: "float32" });
    assert.deepEqual(await chain.logits(loaded), await chain.logits(model));
    const digests = {
      digest: (path: string) => Promise.resolve(path.split("/").at(-1)!),
    };
    const print = await load.fingerprint!({ model: path, dtype: "float32" }, digests);
    assert.ok(JSON.stringify(print).includes(file), "its digest is part of the key");
  });
}

Deno.test("load keeps the codes of what DeepCompressor saved, with its config beside or elsewhere", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { pairs } = JSON.parse(await Deno.readTextFile(`${TORCH}/expected.json`));
  for (const [pair, expected] of Object.entries<Record<string, number[]>>(pairs)) {
    const model = `${TORCH}/${pair}`;
    const loaded = await chain.run(load, {}, { model });
    using source = await openSource(loaded.path);
    for (const [name, stored] of Object.entries(expected)) {
      // Signed codes with a zero point are ours less 8.
      const codes = pair.endsWith("signed") ? stored.map((code) => code + 8) : stored;
      assert.deepEqual([...(await source.linear(name)).codes], codes, `${pair} ${name}`);
    }
    const apart = await chain.directory();
    for (const file of ["model.pt", "scale.pt"]) {
      await Deno.copyFile(`${model}/${file}`, `${apart}/${file}`);
    }
    await chain.refuses(load, {
      inputs: {},
      params: { model: apart },
      message: /no config\.json in .*, expected that of the model beside the weights/,
    });
    const again = await chain.run(load, {}, { model: apart, config: model });
    assert.deepEqual(await filesOf(again), await filesOf(loaded));
  }
});

Deno.test("what loading a quantized artifact will write is forecast from its headers", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await packed(chain);
  for (const codes of ["keep", "dequantize"] as const) {
    const params = { model, dtype: "float16", codes } as const;
    const { diskBytes, facts } = await load.forecast!({}, params, { memoryBytes: 2 ** 30 });
    const loaded = await chain.run(load, {}, params);
    const bytes = (await filesOf(loaded)).values().reduce((sum, { length }) => sum + length, 0);
    assert.ok(diskBytes >= bytes && diskBytes < 1.5 * bytes + 100_000, `${codes}: ${diskBytes}`);
    const { record, tensors } = facts as ModelOutline;
    assert.deepEqual(record, await readModelRecord(loaded.path));
    using checkpoint = await openCheckpoint(loaded.path);
    assert.deepEqual([...tensors.keys()], [...checkpoint.tensors.keys()].sort(byOrder(tensors)));
  }
});

/** Compares names by where they stand among others. */
function byOrder(all: ReadonlyMap<string, unknown>): (a: string, b: string) => number {
  const names = [...all.keys()];
  return (a, b) => names.indexOf(a) - names.indexOf(b);
}

/** A quantized model whose files may be changed. */
async function packed(chain: StageChain): Promise<string> {
  const plain = await writeShaped("llama_llama3_gqa_tied", await chain.directory());
  const weights = { bits: 4, zero: "post_scale", group: 32 };
  return (await chain.run(quantize, { model: plain }, { method: "rtn", weights })).path;
}

function says(message: RegExp): (error: Error) => true {
  return ({ message: text }) => {
    assert.match(text, /^Cannot [^\n]*[,:] [^\n]*expected [^\n]*$/);
    assert.match(text, message);
    return true;
  };
}

/** Changes or replaces one tensor of a directory with one file of weights. */
async function editTensors(
  directory: string,
  name: string,
  edit: ((values: { [at: number]: number }) => void) | undefined,
  instead?: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const path = `${directory}/model.safetensors`;
  const tensors = new Map();
  {
    using file = await openSafetensors(path);
    for (const [each, { shape }] of file.tensors) {
      tensors.set(each, { shape, values: await file.read(each) });
    }
  }
  edit?.(tensors.get(name).values);
  if (instead) tensors.set(name, { shape: [instead.length, 1], values: instead });
  await Deno.chmod(path, 0o644);
  await writeSafetensors(path, tensors);
}

/** Texts and bytes of a directory's files by name. */
async function filesOf({ path }: Artifact): Promise<Map<string, Uint8Array>> {
  const names = (await Array.fromAsync(Deno.readDir(path), ({ name }) => name)).sort();
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, await Deno.readFile(`${path}/${name}`)] as const),
    ),
  );
}
