import { strict as assert } from "node:assert";
import { z } from "zod";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { canMix } from "../../../kernels/rope.ts";
import type { Artifact } from "../../../pipeline/artifact.ts";
import { architectureOf } from "../../../stages/models/architecture.ts";
import { readModelRecord } from "../../../stages/models/model_record.ts";
import { openCheckpoint } from "../../../stages/models/open_checkpoint.ts";
import { Model } from "../../../stages/models/model.ts";
import { type WeightScheme, weightScheme } from "../../../stages/quant/schemes.ts";
import { calibrate_kv, quantize } from "../../../stages/mod.ts";
import { writeDequantized } from "../../support/float_model.ts";
import { fakeLogits } from "../../support/fake_quantization.ts";
import { logitsOf, relativeError } from "../../support/forward_pass.ts";
import { FAMILIES, StageChain } from "../../support/stage_chain.ts";

/** Texts; in one of them a value may lie on the border between two codes, and fall to either side. */
const TEXTS = [11, 29, 60].map((first) =>
  Array.from({ length: 70 }, (_, i) => (37 * i + first) % 90)
);

const A16 = [
  { weights: { group: 8 } },
  { weights: { group: 8, zero: "pre_scale" } },
  { weights: { group: 8, zero: "none" } },
  { weights: { group: 8, bits: 2 } },
  { weights: { group: "row", bits: 3 } },
  { weights: { group: "tensor", bits: 8, zero: "none" } },
  { weights: { group: "row", bits: 8 } },
];
const A8 = [
  { weights: { group: 8, levels: 2 }, activations: "dynamic" },
  { weights: { group: 8, levels: 2, zero: "pre_scale" }, activations: "dynamic" },
  { weights: { group: 8, levels: 2, zero: "none" }, activations: "dynamic" },
  { weights: { group: 8, levels: 2, zero: "none", bits: 3 }, activations: "dynamic" },
  { weights: { group: "row", bits: 8, zero: "none" }, activations: "dynamic" },
  { weights: { group: "row", zero: "post_scale" }, activations: "dynamic" },
  { weights: { group: "row", zero: "none" }, activations: "dynamic" },
  { weights: { group: "row", zero: "none" }, activations: { bits: 4, clip: 0.9 } },
  { weights: { group: 8, levels: 2 }, activations: { bits: 4 } },
  { weights: { group: "row", bits: 8, zero: "none" }, activations: { clip: 0.8 } },
];

Deno.test("every value that a field of a weight scheme may have is among the cases", () => {
  const cases = [...A16, ...A8].map(({ weights }) => weightScheme.parse(weights));
  const { properties = {} } = z.toJSONSchema(weightScheme);
  for (const [field, schema] of Object.entries(properties)) {
    const had: unknown[] = cases.map((scheme) => scheme[field as keyof WeightScheme]);
    for (const value of valuesIn(schema)) assert.ok(had.includes(value), `${field}: ${value}`);
  }
});

/** The values that a schema lists. */
function valuesIn(schema: z.core.JSONSchema._JSONSchema): readonly unknown[] {
  if (typeof schema === "boolean") return [];
  const { const: one, enum: some = [], anyOf = [] } = schema;
  return [...one === undefined ? [] : [one], ...some, ...anyOf.flatMap(valuesIn)];
}

for (const given of [...A16, ...A8]) {
  Deno.test(`packed codes compute what the oracle does: ${JSON.stringify(given)}`, async () => {
    await using chain = await StageChain.open();
    const packed = await chain.run(quantize, { model: chain.family("llama_linear_biases") }, {
      method: "rtn",
      ...given,
    });
    const error = await errorAgainstOracle(chain, packed);
    assert.ok(error < 5e-3, `relative error is ${error}`);
  });
}

for (const name of FAMILIES) {
  Deno.test(`W4A8KV4 of ${name} on integer kernels agrees with the oracle`, async () => {
    await using chain = await StageChain.open();
    const model = chain.family(name);
    const stats = await chain.calibrate(model);
    const w4a8 = await chain.run(quantize, { model, stats }, {
      method: "rtn",
      weights: { group: 8, levels: 2 },
      activations: "dynamic",
    });
    const w4a8kv4 = await chain.run(calibrate_kv, { model: w4a8, stats });
    const error = await errorAgainstOracle(chain, w4a8kv4);
    assert.ok(error < 5e-3, `relative error is ${error}`);
  });

  Deno.test(`keys of ${name} that are rotated or centered before their codes agree with the oracle`, async () => {
    await using chain = await StageChain.open();
    const model = chain.family(name);
    const inputs = { model, stats: await chain.calibrate(model) };
    using checkpoint = await openCheckpoint(model.path);
    const { config } = architectureOf(checkpoint.config);
    const plain = await chain.logits(await chain.run(calibrate_kv, inputs));
    const mixes = canMix(config.headSize);
    const forms = [
      [{ rotate_keys: true }, mixes, /head has \d+ channels, expected a power of two from 4/],
      [{ center_keys: true }, config.attentionCap === undefined, /scores are capped/],
    ] as const;
    for (const [form, can, message] of forms) {
      if (!can) {
        await chain.refuses(calibrate_kv, { inputs, params: form, message });
        continue;
      }
      const cached = await chain.run(calibrate_kv, inputs, form);
      const error = await errorAgainstOracle(chain, cached);
      // A code that rounds the other way is one of few here.
      assert.ok(error < 1e-2, `relative error with ${JSON.stringify(form)} is ${error}`);
      assert.notDeepEqual(await chain.logits(cached), plain);
    }
  });
}

/**
 * Relative difference of the logits of a packed model from those of its fake-quantized floats: the
 * middle one of some texts.
 */
async function errorAgainstOracle(chain: StageChain, packed: Artifact): Promise<number> {
  const floats = await chain.directory();
  await writeDequantized(packed.path, floats);
  const record = await readModelRecord(packed.path);
  await using device = await Cpu.open();
  using model = await Model.open(packed.path, device, { weightBytes: Infinity });
  const errors: number[] = [];
  for (const ids of TEXTS) {
    const expected = await fakeLogits(
      (device) => Model.open(floats, device, { weightBytes: Infinity }),
      record,
      ids,
    );
    const got = await logitsOf(device, model, ids);
    errors.push(model.config.experts ? mostTokens(got, expected) : relativeError(got, expected));
  }
  return errors.toSorted((a, b) => a - b)[1]!;
}

/** What nine of ten tokens keep to: where a code lies between two, a token may go to another expert. */
function mostTokens(got: Float32Array, expected: Float32Array): number {
  const { length: count } = TEXTS[0]!;
  const vocabulary = got.length / count;
  const errors = Array.from({ length: count }, (_, token) => {
    const [first, end] = [token * vocabulary, (token + 1) * vocabulary];
    return relativeError(got.subarray(first, end), expected.subarray(first, end));
  });
  return errors.sort((a, b) => a - b)[Math.floor(0.9 * count)]!;
}
