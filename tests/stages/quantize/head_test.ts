import { strict as assert } from "node:assert";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import type { Artifact } from "../../../pipeline/artifact.ts";
import { evaluate, load, quantize, rotate, tokenize } from "../../../stages/mod.ts";
import { describeModelDirectory } from "../../../stages/describe/model.ts";
import { openModel } from "../../../stages/models/architecture.ts";
import { Model } from "../../../stages/models/model.ts";
import { readModelRecord } from "../../../stages/models/model_record.ts";
import { readCoded } from "../../../stages/quant/stored_weight.ts";
import { DEVICES } from "../../support/devices.ts";
import { fakeLogits } from "../../support/fake_quantization.ts";
import { writeDequantized } from "../../support/float_model.ts";
import { logitsOf, relativeError } from "../../support/forward_pass.ts";
import { packedLogits } from "../../support/made_codes.ts";
import { FAMILIES, StageChain } from "../../support/stage_chain.ts";

const ROWS = { method: "rtn", weights: { bits: 8, zero: "none", group: "row" } };
const HEADS = ["w8a16", "w8a8"] as const;
const TIED = "llama_llama3_gqa_tied";
/** Twelve tokens of a text. */
const TEXT = [1, 5, 17, 80, 33, 2, 64, 91, 9, 41, 12, 70];

for (const head of HEADS) {
  Deno.test(`a head in ${head} computes what the oracle does in every family, with a cap or without`, async () => {
    await using chain = await StageChain.open();
    await using device = await Cpu.open();
    for (const family of FAMILIES) {
      const packed = await chain.run(quantize, { model: chain.family(family) }, { ...ROWS, head });
      const floats = await chain.directory();
      await writeDequantized(packed.path, floats);
      const record = await readModelRecord(packed.path);
      using model = await Model.open(packed.path, device, { weightBytes: Infinity });
      const { logits, made } = await packedLogits(device, model, TEXT);
      const open = (device: ReferenceDevice) =>
        Model.open(floats, device, { weightBytes: Infinity });
      const expected = await fakeLogits(open, record, { ids: TEXT, made });
      const error = relativeError(logits, expected);
      assert.ok(error < 1e-5, `${family}: relative error is ${error}`);
    }
  });
}

for (const [on, open] of Object.entries(DEVICES)) {
  Deno.test(`heads in codes make the same logits on ${on}`, async () => {
    await using chain = await StageChain.open();
    await using device = await open();
    for (const head of HEADS) {
      const packed = await chain.run(quantize, { model: chain.family(TIED) }, { ...ROWS, head });
      using model = await Model.open(packed.path, device, { weightBytes: Infinity });
      const got = await logitsOf(device, model, TEXT);
      await using host = new ReferenceDevice();
      using other = await Model.open(packed.path, host, { weightBytes: Infinity });
      const error = relativeError(got, await logitsOf(host, other, TEXT));
      assert.ok(error < 5e-3, `${head}: relative error is ${error}`);
    }
  });
}

Deno.test("the codes of a head are its values over a scale a row, each the nearest, and its error is theirs", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_linear_biases");
  const { path } = await chain.run(quantize, { model }, { ...ROWS, head: "w8a16" });
  using before = await openModel(model.path);
  using after = await openModel(path);
  const [linear] = after.architecture.head.linears;
  assert.ok(!after.checkpoint.tensors.has(linear.weight));
  const values = await before.checkpoint.read(linear.weight);
  const { weights } = after.record.linears[linear.name]!;
  const { codes, scales, zeros } = await readCoded(after.checkpoint, linear.name, weights);
  assert.equal(zeros, undefined);
  let [lost, size] = [0, 0];
  for (let row = 0; row < linear.rows; row++) {
    const of = values.subarray(row * linear.columns, (row + 1) * linear.columns);
    const scale = Math.f16round(Math.max(...of.map(Math.abs)) / 127);
    assert.equal(scales[row], scale);
    of.forEach((value, i) => {
      const code = codes[row * linear.columns + i]!;
      assert.ok(Math.abs(code) <= 127);
      assert.ok(Math.abs(value / scale - code) <= 0.5 + 1e-3 || Math.abs(code) === 127);
      lost += (code * scale - value) ** 2;
      size += value ** 2;
    });
  }
  const { method, weightError } = after.record.measured.linears[linear.name]!;
  assert.equal(method, "rtn");
  assert.ok(Math.abs(weightError / (lost / size) - 1) < 1e-4, `${weightError}, ${lost / size}`);
});

Deno.test("a tied head gets a weight of its own, and the table that tokens are looked up in stays", async () => {
  await using chain = await StageChain.open();
  const model = chain.family(TIED);
  const plain = await chain.run(quantize, { model }, ROWS);
  const coded = await chain.run(quantize, { model }, { ...ROWS, head: "w8a8" });
  using before = await openModel(plain.path);
  using after = await openModel(coded.path);
  assert.equal(before.architecture.config.tied, true);
  assert.equal(after.architecture.config.tied, false);
  const { embeddings, ownHead } = after.architecture;
  assert.deepEqual(
    await after.checkpoint.readRaw(embeddings),
    await before.checkpoint.readRaw(embeddings),
  );
  const names = (tensors: ReadonlyMap<string, unknown>) => [...tensors.keys()];
  const added = names(after.checkpoint.tensors)
    .filter((name) => !before.checkpoint.tensors.has(name));
  const head = ownHead.replace(/\.weight$/, "");
  assert.deepEqual(added, [`${head}.codes`, `${head}.scales`]);
  // All else is as without it.
  for (const name of names(before.checkpoint.tensors)) {
    assert.deepEqual(
      await after.checkpoint.readRaw(name),
      await before.checkpoint.readRaw(name),
      name,
    );
  }
});

Deno.test("a head that nobody asks for is as it was, and nothing tells of one", async () => {
  await using chain = await StageChain.open();
  const plain = await chain.run(quantize, { model: chain.family(TIED) }, ROWS);
  const { history, linears } = await readModelRecord(plain.path);
  assert.ok(!("head" in (history.at(-1)!.params as object)));
  assert.ok(Object.keys(linears).every((name) => name.startsWith("model.layers.")));
});

Deno.test("a model with a head in codes is loaded as it is, or with its values", async () => {
  await using chain = await StageChain.open();
  const turned = await chain.run(rotate, { model: chain.family(TIED) });
  const coded = await chain.run(quantize, { model: turned }, { ...ROWS, head: "w8a16" });
  const kept = await chain.run(load, {}, { model: coded.path, dtype: "float32" });
  assert.deepEqual(await chain.logits(kept), await chain.logits(coded));
  const values = await chain.run(load, {}, {
    model: coded.path,
    codes: "dequantize",
    dtype: "float32",
  });
  using files = await openModel(values.path);
  assert.ok(files.checkpoint.tensors.has(files.architecture.ownHead));
  const error = relativeError(await chain.logits(values), await chain.logits(coded));
  assert.ok(error < 1e-5, `relative error is ${error}`);
});

Deno.test("inspect tells of a head in codes what it tells of linears", async () => {
  await using chain = await StageChain.open();
  const coded = await chain.run(quantize, { model: chain.family(TIED) }, { ...ROWS, head: "w8a8" });
  const { sections, title } = await describeModelDirectory(coded.path, {});
  assert.match(title, /, head W8 per row none A8 per token$/);
  const { table } = sections.find(({ title }) => title === "Linears")!;
  const row = table!.rows.find(([name]) => name === "lm_head")!;
  assert.deepEqual(row.slice(1, 8), ["", "8", "per row", "none", "1", "A8 per token", "rtn"]);
});

Deno.test("a head in 8 bits costs the embedded model less than a twentieth of what the codes of its layers cost", async () => {
  await using chain = await StageChain.open();
  const source = chain.embedded();
  const text = { text: "stories:train", bytes: 12_000 };
  const tokens = await chain.run(tokenize, { model: source }, text);
  const evaluated = (model: Artifact, from: object = {}) =>
    chain.run(evaluate, { model, tokens, ...from }, {
      context: 128,
      windows: 8,
      keep_hidden: true,
    });
  const kl = async ({ path }: Artifact): Promise<number> =>
    JSON.parse(await Deno.readTextFile(`${path}/report.json`)).scores.kl;
  const params = { method: "rtn", weights: { bits: 4, group: 32 } };
  const layers = await chain.run(quantize, { model: source }, params);
  const baseline = await evaluated(source);
  const report = await evaluated(layers, { baseline, baseline_model: source });
  for (const head of HEADS) {
    const model = await chain.run(quantize, { model: source }, { ...params, head });
    // What only the head differs by.
    const own = await kl(await evaluated(model, { baseline: report, baseline_model: layers }));
    assert.ok(own > 0 && own < 0.05 * await kl(report), `${head}: KL ${own}`);
  }
});
