import { strict as assert } from "node:assert";
import type { Artifact } from "../../pipeline/artifact.ts";
import { calibrate } from "../../stages/calibrate.ts";
import { openStats } from "../../stages/calibration/stats.ts";
import { evaluate } from "../../stages/evaluate.ts";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import { readModelRecord } from "../../stages/models/model_record.ts";
import { type WeightScheme, weightScheme } from "../../stages/quant/schemes.ts";
import { codedValues } from "../../stages/quant/coded_weight.ts";
import { gridOf, roundToNearest } from "../../stages/quant/weight_grid.ts";
import { quantize } from "../../stages/quantize.ts";
import { FAMILIES, StageChain } from "../support/stage_chain.ts";
import {
  difference,
  outputErrorOf,
  quadraticForm,
  weightErrorOf,
  type WeightPair,
  weightPairs,
} from "../support/weight_error.ts";

const GRAM = { gram: true };
const GROUPS = { weights: { group: 8 } };

for (const family of FAMILIES) {
  Deno.test(`GPTQ leaves smaller output errors than rounding to nearest on ${family}`, async () => {
    await using chain = await StageChain.open();
    const model = chain.family(family);
    const stats = await chain.calibrate(model, GRAM);
    const inputs = { model, stats };
    const errors: number[][] = [];
    for (const method of ["rtn", "gptq"]) {
      const quantized = await chain.run(quantize, inputs, { method, ...GROUPS });
      const { measured, linears } = await readModelRecord(quantized.path);
      const pairs = await weightPairs(chain, model, quantized);
      assert.deepEqual(Object.keys(measured.linears).sort(), pairs.map(({ name }) => name).sort());
      assert.deepEqual(Object.keys(linears).sort(), Object.keys(measured.linears).sort());
      const found: number[] = [];
      for (const pair of pairs) {
        const facts = measured.linears[pair.name]!;
        close(facts.weightError, weightErrorOf(pair), 1e-4);
        // An expert that saw tokens for fewer than a quarter of the inputs.
        const few = facts.tokens !== undefined && facts.tokens < pair.columns / 4;
        if (few && pair.inside) {
          assert.equal(facts.method, "rtn");
          assert.equal(facts.outputError, undefined);
          if (method === "gptq") assert.match(facts.fallback!, /saw \d+ tokens in calibration/);
          continue;
        }
        assert.equal(facts.method, method);
        assert.equal(facts.fallback, undefined);
        assert.equal(facts.statistics, few ? "layer" : undefined);
        const read = { ...pair, expert: few ? undefined : pair.expert };
        close(facts.outputError!, await outputErrorOf(read, stats, model), 1e-3);
        found.push(facts.outputError!);
      }
      errors.push(found);
    }
    const [nearest, gptq] = errors;
    gptq!.forEach((error, i) => assert.ok(error <= nearest![i]!, `${error} > ${nearest![i]}`));
    assert.ok(mean(gptq!) < 0.9 * mean(nearest!), `${mean(gptq!)} after ${mean(nearest!)}`);
  });
}

Deno.test("a range search makes what it looks at smaller, the more the more ratios there are", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_linear_biases");
  const stats = await chain.calibrate(model, GRAM);
  const rtn = { method: "rtn", weights: { group: 8, bits: 3 } };
  const plain = await objectivesOf(chain, { model, stats }, rtn);
  for (const objective of ["tensor", "products", "outputs"] as const) {
    // What is looked at with a ratio for all, for each group of columns, and for each group.
    let before = plain;
    for (const granularity of ["layer", "channel_group", "group"] as const) {
      const range = { objective, granularity, grids: 8, max_shrink: 0.7, max_expand: 1.2 };
      const searched = await objectivesOf(chain, { model, stats }, { ...rtn, range });
      const whole = objective === "outputs" && granularity === "layer";
      const judged = whole ? "outputs" : objective === "tensor" ? "tensor" : "products";
      const what = `${objective} ${granularity}`;
      searched.forEach((is, i) => {
        assert.ok(is[judged] <= before[i]![judged] * (1 + 1e-5), what);
        if (granularity === "group") assert.ok(is[judged] < 0.98 * plain[i]![judged], what);
      });
      // A ratio for all by outputs is judged by other products than finer ones.
      if (!whole) before = searched;
    }
  }
});

Deno.test("each row keeps the best of the ranges that GPTQ tries", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_linear_biases");
  const stats = await chain.calibrate(model, GRAM);
  const errorsFor = async (gptq_shares: number[]) => {
    const range = { grids: 16, gptq_shares };
    const quantized = await chain.run(quantize, { model, stats }, {
      method: "gptq",
      weights: { group: "row", bits: 3 },
      range,
    });
    const { measured } = await readModelRecord(quantized.path);
    for (const pair of await weightPairs(chain, model, quantized)) {
      close(
        measured.linears[pair.name]!.outputError!,
        await outputErrorOf(pair, stats, model),
        1e-3,
      );
    }
    return Object.values(measured.linears).map(({ outputError }) => outputError!);
  };
  const alone: number[][] = [];
  for (const share of [0, 0.5, 1]) alone.push(await errorsFor([share]));
  const together = await errorsFor([1, 0.5, 0]);
  together.forEach((error, i) => {
    for (const one of alone) assert.ok(error <= one[i]! * (1 + 1e-6), `${error} > ${one[i]}`);
  });
  assert.ok(alone.every((one) => mean(together) < 0.99 * mean(one)));
});

Deno.test("linears whose ranges are not searched, and skipped ones, are what they were", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("mistral_window");
  const rtn = { method: "rtn", weights: { group: 8, bits: 3 } };
  const range = { objective: "tensor", grids: 6 };
  const [plain, searched] = [
    await chain.run(quantize, { model }, rtn),
    await chain.run(quantize, { model }, { ...rtn, range, range_skips: ["up_proj", "out_proj"] }),
  ];
  const [before, after] = [
    await weightPairs(chain, model, plain),
    await weightPairs(chain, model, searched),
  ];
  before.forEach(({ name, after: codes }, i) => {
    const same = /gate|up|o_proj/.test(name);
    assert.equal(String(after[i]!.after) === String(codes), same, name);
  });
});

Deno.test("a weight per tensor keeps one scale when its range is searched", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("qwen2_tied");
  const range = { objective: "tensor", granularity: "group", grids: 8 };
  const weights = { group: "tensor", zero: "none" };
  const quantized = await chain.run(quantize, { model }, { method: "rtn", weights, range });
  using checkpoint = await openCheckpoint(quantized.path);
  const scales = await checkpoint.read("model.layers.1.mlp.down_proj.scales");
  assert.equal(scales.length, 64);
  assert.equal(new Set(scales).size, 1);
});

Deno.test("a ratio shrinks all ranges alike", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("qwen2_tied");
  const weights = { group: "row", zero: "none" };
  const scales = async (ratio: number) => {
    const params = { method: "rtn", weights, ratio };
    const quantized = await chain.run(quantize, { model }, params);
    using checkpoint = await openCheckpoint(quantized.path);
    return await checkpoint.read("model.layers.0.mlp.up_proj.scales");
  };
  const [whole, half] = [await scales(1), await scales(0.5)];
  assert.deepEqual([...half], [...whole].map((scale) => Math.f16round(scale / 2)));
});

Deno.test("two runs give the same bytes", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_wide_heads");
  const inputs = {
    model,
    stats: await chain.calibrate(model, GRAM),
    tokens: await chain.tokens(64),
  };
  const ways = [
    { method: "gptq", ...GROUPS, range: { grids: 4 } },
    {
      method: "gptq",
      weights: { group: 8, levels: 2 },
      activations: "dynamic",
      inputs: "quantized",
    },
  ];
  for (const params of ways) {
    const given = { windows: 2, context: 32, ...params };
    const [one, two] = [
      await chain.run(quantize, inputs, given),
      await chain.run(quantize, inputs, given),
    ];
    const names = [...Deno.readDirSync(one.path)].map(({ name }) => name).sort();
    assert.deepEqual(names, [
      "channels-0.safetensors",
      "config.json",
      "model.json",
      "model.safetensors",
    ]);
    for (const name of names) {
      const bytes = ({ path }: Artifact) => Deno.readFile(`${path}/${name}`);
      assert.deepEqual(await bytes(one), await bytes(two), name);
    }
  }
});

Deno.test("quantized inputs are those of the layers before as they have become", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_llama3_gqa_tied");
  const tokens = await chain.tokens(64);
  const few = { windows: 2, context: 32 };
  const stats = await chain.run(calibrate, { model, tokens }, few);
  for (const form of [GROUPS, { weights: { group: 8, levels: 2 }, activations: "dynamic" }]) {
    const original = await chain.run(quantize, { model, stats }, form);
    const given = { ...form, ...few, inputs: "quantized" };
    const quantized = await chain.run(quantize, { model, tokens }, given);
    const [before, after] = [
      await weightPairs(chain, model, original),
      await weightPairs(chain, model, quantized),
    ];
    const same = (layer: number) => {
      const equal = before.flatMap((pair, i) =>
        pair.layer === layer ? [...pair.after].map((value, j) => value === after[i]!.after[j]) : []
      );
      return equal.filter(Boolean).length / equal.length;
    };
    assert.ok(same(0) >= 0.999, `${same(0)} of the first layer`);
    assert.ok(same(1) < 0.995, `${same(1)} of the second layer`);
    // The second layer's first inputs are what a calibration of the quantized model sees.
    const { measured } = await readModelRecord(quantized.path);
    const again = await chain.run(calibrate, { model: quantized, tokens }, few);
    for (const pair of after.filter(({ site }) => site === "layers.1.attention.in")) {
      const facts = measured.linears[pair.name]!;
      close(facts.outputError!, await outputErrorOf(pair, again, quantized), 1e-3);
      const other = await outputErrorOf(pair, stats, model);
      assert.ok(Math.abs(other / facts.outputError! - 1) > 2e-3, "the test could not tell");
    }
  }
});

Deno.test("inputs behind weights alone are those of the layers before without codes of inputs", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_llama3_gqa_tied");
  const tokens = await chain.tokens(64);
  const given = { windows: 2, context: 32, weights: { group: "row", zero: "none" } };
  const run = (more: object) => chain.run(quantize, { model, tokens }, { ...given, ...more });
  const activations = { bits: 4, clip: 0.9 };
  const codes = async (quantized: Artifact) =>
    (await weightPairs(chain, model, quantized)).map(({ after }) => [...after]);
  const alone = await codes(await run({ inputs: "weights", activations }));
  // Without codes of inputs at all there is no difference between the two.
  assert.deepEqual(alone, await codes(await run({ inputs: "quantized" })));
  assert.notDeepEqual(alone, await codes(await run({ inputs: "quantized", activations })));
});

Deno.test("skipped linears stay as they are, and the mixed model can be evaluated", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("qwen2_untied");
  const tokens = await chain.tokens(64);
  const params = { method: "rtn", ...GROUPS, skips: ["out_proj", "down_proj"] };
  const mixed = await chain.run(quantize, { model }, params);
  using before = await openCheckpoint(model.path);
  using after = await openCheckpoint(mixed.path);
  const { linears, measured } = await readModelRecord(mixed.path);
  for (const name of before.tensors.keys()) {
    const packed = /\.(q|k|v|gate|up)_proj\.weight$/.test(name);
    assert.equal(after.tensors.has(name), !packed, name);
    const linear = name.replace(/\.weight$/, "");
    assert.equal(linear in linears, packed, name);
    assert.equal(linear in measured.linears, packed, name);
    if (!packed) assert.deepEqual(await after.readRaw(name), await before.readRaw(name), name);
  }
  const perplexity = async (model: Artifact) => {
    const report = await chain.run(evaluate, { model, tokens }, { context: 32 });
    const { scores } = JSON.parse(await Deno.readTextFile(`${report.path}/report.json`));
    return scores.perplexity as number;
  };
  const all = await chain.run(quantize, { model }, { method: "rtn", ...GROUPS });
  const scores = [await perplexity(model), await perplexity(mixed), await perplexity(all)];
  assert.equal(new Set(scores).size, 3);
  for (const score of scores) assert.ok(Math.abs(score / scores[0]! - 1) < 0.1, `${scores}`);
});

Deno.test("errors fall with bits and with smaller groups", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_linear_biases");
  const stats = await chain.calibrate(model, GRAM);
  for (const zero of ["none", "pre_scale", "post_scale"]) {
    for (const method of ["rtn", "gptq"]) {
      const errors = async (weights: object) => {
        const params = { method, weights: { zero, ...weights } };
        const { path } = await chain.run(quantize, { model, stats }, params);
        const facts = Object.values((await readModelRecord(path)).measured.linears);
        return mean(facts.map(({ outputError }) => outputError!));
      };
      const bits = [];
      for (const count of [2, 3, 4, 8]) bits.push(await errors({ bits: count, group: 8 }));
      falls(bits, `${zero} ${method} bits`);
      const groups = [];
      for (const group of ["tensor", "row", 8]) groups.push(await errors({ bits: 3, group }));
      falls(groups, `${zero} ${method} groups`);
    }
  }
});

const FORMS: readonly (Partial<WeightScheme> & { activations?: string })[] = [
  { bits: 2, group: 8 },
  { bits: 3, group: "row", zero: "pre_scale" },
  { bits: 4, group: 8, zero: "none" },
  { bits: 4, group: "tensor" },
  { bits: 8, group: 8, zero: "pre_scale" },
  { bits: 8, group: "row", zero: "none", activations: "dynamic" },
  { bits: 4, group: 8, levels: 2, activations: "dynamic" },
  { bits: 3, group: 8, levels: 2, zero: "pre_scale", activations: "dynamic" },
  { bits: 4, group: 8, levels: 2, zero: "none", activations: "dynamic" },
];

for (const { activations = "none", ...form } of FORMS) {
  Deno.test(`stored codes of ${JSON.stringify(form)} are the nearest ones`, async () => {
    await using chain = await StageChain.open();
    const model = chain.family("llama_wide_heads");
    const params = { method: "rtn", weights: form, activations };
    const quantized = await chain.run(quantize, { model }, params);
    const scheme = weightScheme.parse(form);
    const { linears } = await readModelRecord(quantized.path);
    using checkpoint = await openCheckpoint(quantized.path);
    for (const pair of await weightPairs(chain, model, quantized)) {
      assert.deepEqual(linears[pair.name]!.weights, scheme);
      const shape = { rows: pair.before.length / pair.columns, columns: pair.columns };
      const stored = [...checkpoint.tensors.values()]
        .filter(({ name }) => name.startsWith(`${pair.name}.`))
        .map(({ name, dtype, shape }) => [name.slice(pair.name.length + 1), dtype, ...shape]);
      assert.deepEqual(stored.sort(), storedShapes(scheme, shape).sort());
      const { domain, grid } = gridOf({ ...shape, values: Float32Array.from(pair.before) }, scheme);
      assert.deepEqual(pair.after, codedValues(roundToNearest(domain, grid)), pair.name);
    }
  });
}

Deno.test("static activations get the largest magnitude that calibration saw", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("mistral_window");
  const stats = await chain.calibrate(model);
  const quantized = await chain.run(quantize, { model, stats }, {
    method: "rtn",
    weights: { bits: 8, group: "row", zero: "none" },
    activations: "static",
  });
  const { linears } = await readModelRecord(quantized.path);
  using opened = await openStats(stats, model);
  const ranges = new Set<number>();
  for (const { name, layer, site } of await weightPairs(chain, model, quantized)) {
    const range = Math.max(...await opened.magnitude(layer, site, "absmax"));
    assert.deepEqual(linears[name]!.inputs, { bits: 8, range });
    ranges.add(range);
  }
  assert.equal(ranges.size, 8);
  assert.ok((await chain.logits(quantized)).every(Number.isFinite));
});

/** Name, type and shape of each stored part, by the table of `Kind` and QServe's two levels. */
function storedShapes(
  { bits, zero, group, levels }: WeightScheme,
  { rows, columns }: { readonly rows: number; readonly columns: number },
): (string | number)[][] {
  const groups = typeof group === "number" ? columns / group : 1;
  const codes = ["codes", "U32", rows, columns * (bits === 8 ? 8 : 4) / 32];
  if (levels === 2) {
    const factors = [["scales", "F16", rows, 1], ["group_scales", "U8", rows, groups]];
    if (zero === "none") return [codes, ...factors];
    return [codes, ...factors, ["group_zeros", "I8", rows, groups]];
  }
  const scales = ["scales", "F16", rows, groups];
  if (zero === "none") return [codes, scales];
  return [codes, scales, ["zeros", zero === "pre_scale" ? "U8" : "F16", rows, groups]];
}

/** What range searches look at, for each linear of a model quantized so. */
async function objectivesOf(
  chain: StageChain,
  inputs: { readonly model: Artifact; readonly stats: Artifact },
  params: object,
): Promise<{ readonly tensor: number; readonly products: number; readonly outputs: number }[]> {
  const quantized = await chain.run(quantize, inputs, params);
  using stats = await openStats(inputs.stats, inputs.model);
  return await Promise.all(
    (await weightPairs(chain, inputs.model, quantized)).map(async (pair: WeightPair) => {
      const gram = await stats.gram(pair.layer, pair.site);
      const errors = difference(pair);
      return {
        tensor: weightErrorOf(pair),
        products: quadraticForm(errors, gram, pair.columns, 8),
        outputs: quadraticForm(errors, gram, pair.columns),
      };
    }),
  );
}

function falls(values: readonly number[], what: string): void {
  values.forEach((value, i) => {
    assert.ok(value > 0 && (i === 0 || value < values[i - 1]!), `${what}: ${values}`);
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b) / values.length;
}

/** Asserts that two numbers agree, relative to the expected. */
function close(got: number, expected: number, within: number): void {
  assert.ok(Math.abs(got / expected - 1) < within, `got ${got}, expected ${expected}`);
}
