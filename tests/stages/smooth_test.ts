import { strict as assert } from "node:assert";
import { openStats } from "../../stages/calibration/stats.ts";
import {
  channelSpread,
  type PlacedSpread,
  SPREAD_BYTES,
} from "../../stages/channels/channel_spread.ts";
import { openModel } from "../../stages/models/architecture.ts";
import { fileURLToPath } from "node:url";
import { f32 } from "../../kernels/device/tensor.ts";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import type { Artifact } from "../../pipeline/artifact.ts";
import { readersOf } from "../../stages/models/site.ts";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import { readModelRecord, writeModelRecord } from "../../stages/models/model_record.ts";
import { outputErrors } from "../../stages/channels/search_error.ts";
import {
  exponentCandidates,
  familyOf,
  lastSmallest,
  smoothingScale,
} from "../../stages/channels/smoothing.ts";
import { attentionErrors } from "../../stages/channels/smoothing_attention.ts";
import { type WeightScheme, weightScheme } from "../../stages/quant/schemes.ts";
import { codedValues } from "../../stages/quant/coded_weight.ts";
import { gridOf, roundToNearest } from "../../stages/quant/weight_grid.ts";
import { rotate } from "../../stages/rotate.ts";
import { smooth } from "../../stages/smooth.ts";
import { relativeError } from "../support/forward_pass.ts";
import { goldenSpans, INPUTS, once, PRECISION, WEIGHT } from "../support/golden_smoothing.ts";
import { assertSameStats } from "../support/lineage_check.ts";
import { randomTensor } from "../support/random.ts";
import { FAMILIES, smoothable, StageChain } from "../support/stage_chain.ts";
import { assertWithin } from "../support/tolerance.ts";

const SIGNAL = new AbortController().signal;
const SITES = ["qkv_proj", "out_proj", "up_proj", "down_proj"];
const LAYER = "model.layers.0";

Deno.test("the grid search finds DeepCompressor's winner and error on a GPU", async () => {
  await using device = await Gpu.open();
  const exponents = exponentCandidates(familyOf({ alpha: 0.5, beta: -2 }), 10);
  assert.equal(exponents.length, 19);
  const maps = exponents.map((pair) => ({
    scale: smoothingScale(...goldenSpans("abs_max"), pair),
  }));
  const golden = { inputs: INPUTS, weights: once(WEIGHT), precision: PRECISION, signal: SIGNAL };
  const errors = await outputErrors(device, { ...golden, maps });
  const best = lastSmallest(errors);
  assert.deepEqual(exponents[best], { alpha: 0.2, beta: 0.8 });
  assertWithin(errors[best]!, 1.454448, 1e-5);
});

const SCHEMES: readonly Partial<WeightScheme>[] = [
  { bits: 4, zero: "post_scale", group: 8 },
  { bits: 4, zero: "pre_scale", group: 16 },
  { bits: 2, zero: "none", group: "row" },
  { bits: 3, zero: "post_scale", group: "tensor" },
  { bits: 8, zero: "none", group: "row" },
  { bits: 8, zero: "post_scale", group: 8 },
  { bits: 4, zero: "post_scale", group: 8, levels: 2 },
  { bits: 4, zero: "pre_scale", group: 8, levels: 2 },
];

Deno.test("errors of a search are those of the dequantized weight, for every form of codes", async () => {
  await using device = await Cpu.open();
  const index = Uint32Array.from({ length: 16 }, (_, c) => 5 * c % 16);
  const scale = Float32Array.from({ length: 16 }, (_, c) => 1 + c / 8);
  for (const scheme of SCHEMES) {
    const weights = weightScheme.parse(scheme);
    // Two weights of a site: the errors add up.
    const both = async function* () {
      yield* once(WEIGHT);
      yield* once(WEIGHT);
    };
    const [error] = await outputErrors(device, {
      inputs: INPUTS,
      weights: both(),
      maps: [{ index, scale }],
      precision: { weights, quantizeInputs: false },
      signal: SIGNAL,
    });
    const changed = WEIGHT.values.map((_, i) =>
      WEIGHT.values[i - i % 16 + index[i % 16]!]! * scale[i % 16]!
    );
    const { domain, grid } = gridOf({ ...WEIGHT, values: changed }, weights);
    const coded = codedValues(roundToNearest(domain, grid));
    let expected = 0;
    for (let token = 0; token < INPUTS.rows; token++) {
      for (let row = 0; row < WEIGHT.rows; row++) {
        let difference = 0;
        for (let c = 0; c < 16; c++) {
          const x = INPUTS.values[token * 16 + index[c]!]! / scale[c]!;
          difference += x * (coded[row * 16 + c]! - changed[row * 16 + c]!);
        }
        expected += difference ** 2;
      }
    }
    assertWithin(error!, 2 * expected, 1e-4 * expected);
  }
});

Deno.test("the attention search prefers the scale that makes keys whole multiples of one step", async () => {
  const layout = { heads: 4, kvHeads: 2, headSize: 16 };
  const [tokens, hidden] = [12, 24];
  // Channels c and c + 8 of a kv head are 4^(c mod 8) times whole numbers of 0 to 15.
  const factors = Float32Array.from({ length: 32 }, (_, c) => 4 ** (c % 8) / 64);
  const keys = Float32Array.from({ length: tokens * 32 }, (_, i) => {
    const [token, channel] = [Math.floor(i / 32), i % 32];
    const code = channel % 16 === 0 ? 15 : channel % 16 === 1 ? 0 : (5 * token + 7 * channel) % 16;
    return code * factors[channel]!;
  });
  const matrix = (columns: number, values: ArrayLike<number>) => ({
    rows: values.length / columns,
    columns,
    values: Float32Array.from(values),
  });
  const random = (rows: number, columns: number, seed: string) =>
    matrix(columns, randomTensor(f32([rows, columns]), seed).data as Float32Array);
  const spread = Float32Array.from(
    { length: 64 },
    (_, i) => factors[Math.floor(i / 32) * 16 + i % 16]!,
  );
  await using device = await Cpu.open();
  const search = {
    windows: [{
      queries: random(tokens, 64, "queries"),
      keys: matrix(32, keys),
      values: random(tokens, 32, "values"),
    }],
    layout,
    output: [random(hidden - 8, 64, "upper rows"), random(8, 64, "lower rows")],
    keys: { bits: 4, zero: "post_scale", group: 128 } as const,
    scales: [new Float32Array(64).fill(1), spread],
    signal: SIGNAL,
  };
  // A query that sees only itself does not depend on keys.
  assert.deepEqual([...await attentionErrors(device, { ...search, options: { window: 1 } })], [
    0,
    0,
  ]);
  const errors = await attentionErrors(device, { ...search, options: {} });
  assert.ok(errors[0]! > 1, `without scales ${errors[0]}`);
  assert.ok(errors[1]! < 1e-8 * errors[0]!, `with scales ${errors[1]}`);
});

/** What smooth is told of both. */
interface SmoothParams {
  readonly projections: object;
  readonly attention: object;
}

const VARIANTS: readonly (readonly [what: string, params: SmoothParams])[] = [
  [
    "manual at every place",
    {
      projections: { sites: SITES, alpha: 0.6, beta: 0.3, spans: ["abs_max", "rms"] },
      attention: {},
    },
  ],
  [
    "searched at every place",
    {
      projections: {
        sites: SITES,
        strategy: "grid",
        candidates: "complement",
        grids: 3,
        weights: { bits: 4, group: 8 },
        spans: [["abs_max", "abs_max"], ["rms", "rms"]],
      },
      attention: { strategy: "grid", candidates: "all_pairs", grids: 3, kv: { group: 16 } },
    },
  ],
];

for (const family of FAMILIES) {
  Deno.test(`smooth leaves the logits of ${family} as they are, and its stats follow`, async () => {
    await using chain = await StageChain.open();
    const model = chain.family(family);
    const stats = await chain.calibrate(model);
    const before = await chain.logits(model);
    const sites = await smoothable(family);
    for (const [what, params] of VARIANTS) {
      const own = { ...params, projections: { ...params.projections, sites } };
      const smoothed = await chain.run(smooth, { model, stats }, own);
      const error = relativeError(await chain.logits(smoothed), before);
      assert.ok(error < 1e-4, `${what}: relative error is ${error}`);
      // Where a search keeps a scale of ones, weights rightly stay.
      if (params === VARIANTS[0]![1]) await assertChanged(model, smoothed, stats);
      await assertSameStats(smoothed, stats, await chain.calibrate(smoothed));
    }
  });
}

Deno.test("smooth puts one scale for all heads into the gains of keys and queries that are normalized", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("qwen3_tied");
  const stats = await chain.calibrate(model);
  const smoothed = await chain.run(smooth, { model, stats }, { attention: { alpha: 1 } });
  using before = await openCheckpoint(model.path);
  using after = await openCheckpoint(smoothed.path);
  const factors = async (name: string) => {
    const [old, now] = [await before.read(name), await after.read(name)];
    return Array.from(old, (value, c) => now[c]! / value);
  };
  const q = await factors(`${LAYER}.self_attn.q_norm.weight`);
  const k = await factors(`${LAYER}.self_attn.k_norm.weight`);
  // Heads have 32 channels, of which 16 turn against the other 16.
  assert.ok(new Set(q.map((factor) => factor.toFixed(3))).size > 8);
  q.forEach((factor, c) => {
    assert.ok(Math.abs(factor * k[c]! - 1) < 1e-3, `channel ${c}`);
    assert.ok(Math.abs(factor / q[(c + 16) % 32]! - 1) < 1e-3, `pair of channel ${c}`);
  });
  for (const role of ["q", "k"]) {
    const name = `${LAYER}.self_attn.${role}_proj.weight`;
    assert.deepEqual(await after.read(name), await before.read(name), name);
  }
});

Deno.test("smooth puts scales into keys, queries and their biases, alike for rotary pairs", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("qwen2_tied");
  const stats = await chain.calibrate(model);
  const smoothed = await chain.run(smooth, { model, stats }, { attention: { alpha: 1 } });
  using before = await openCheckpoint(model.path);
  using after = await openCheckpoint(smoothed.path);
  const factors = async (name: string, width: number) => {
    const [old, now] = [await before.read(name), await after.read(name)];
    return Array.from({ length: old.length / width }, (_, row) => {
      const at = old.subarray(row * width, (row + 1) * width).findIndex((value) => value !== 0);
      return now[row * width + at]! / old[row * width + at]!;
    });
  };
  const [q, qBias] = [
    await factors(`${LAYER}.self_attn.q_proj.weight`, 64),
    await factors(`${LAYER}.self_attn.q_proj.bias`, 1),
  ];
  const [k, kBias] = [
    await factors(`${LAYER}.self_attn.k_proj.weight`, 64),
    await factors(`${LAYER}.self_attn.k_proj.bias`, 1),
  ];
  // 4 heads and 2 kv heads of 16.
  q.forEach((factor, c) => {
    assertWithin(qBias[c]!, factor, 1e-5 * factor);
    assertWithin(q[Math.floor(c / 16) * 16 + (c + 8) % 16]!, factor, 1e-5 * factor);
    const kv = Math.floor(c / 32) * 16 + c % 16;
    assertWithin(k[kv]!, 1 / factor, 1e-5 / factor);
    assertWithin(kBias[kv]!, 1 / factor, 1e-5 / factor);
  });
  assert.ok(Math.max(...q) / Math.min(...q) > 1.5);
});

Deno.test("smooth takes the candidate of least error, and says what it gained", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("mistral_window");
  const stats = await chain.calibrate(model);
  const weights = { bits: 3, group: 8 };
  const grid = { sites: ["down_proj"], strategy: "grid", candidates: "alpha_only", weights };
  const smoothed = await chain.run(smooth, { model, stats }, { projections: grid });
  const { choices } = JSON.parse(await Deno.readTextFile(`${smoothed.path}/smooth.json`));
  assert.equal(choices.length, 2);
  for (const { alpha, beta, error } of choices) {
    assert.ok(error.after <= error.before && error.after > 0);
    assert.ok(alpha >= 0 && alpha < 1 && beta === 0);
  }
  const [before, after] = ["before", "after"].map((when) =>
    choices.reduce(
      (sum: number, { error }: { error: Record<string, number> }) => sum + error[when]!,
      0,
    )
  );
  assert.match(
    chain.notes.at(-1)!,
    new RegExp(`down_proj: .* ${(100 * after / before).toFixed(1)}%`),
  );
});

Deno.test("smooth keeps how channels lie before and after, as statistics of both models show them", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_wide_heads");
  const stats = await chain.calibrate(model);
  const params = { projections: { sites: ["down_proj"], alpha: 0.5 }, attention: {} };
  const smoothed = await chain.run(smooth, { model, stats }, params);
  const text = await Deno.readTextFile(`${smoothed.path}/spreads.json`);
  const spreads: PlacedSpread[] = JSON.parse(text);
  using files = await openModel(model.path);
  const { layers } = files.architecture;
  assert.deepEqual(
    spreads.map(({ layer, place }) => `${place} of ${layer}`),
    layers.flatMap(({ index }) => [`keys of ${index}`, `down_proj of ${index}`]),
  );
  using was = await openStats(stats, model);
  using is = await openStats(stats, smoothed);
  for (const { layer, place, before, after, worst } of spreads) {
    const { taps, sites } = layers[layer]!;
    const tap = place === "keys"
      ? taps.keys
      : sites.find(({ projection }) => projection === place)!;
    const same = new Float32Array(tap.channels).fill(1);
    for (const [one, histogram] of [[was, before], [is, after]] as const) {
      const magnitudes = await one.magnitude(layer, tap.name, "absmax");
      const found = channelSpread(magnitudes, same);
      assert.deepEqual(found.before, histogram);
      assert.equal(histogram.reduce((sum, [, count]) => sum + count, 0), tap.channels);
    }
    assert.ok(worst[0]!.before >= worst[1]!.before && worst[0]!.before > 1);
  }
  assert.ok(text.length <= SPREAD_BYTES * spreads.length);
  assert.ok(!(await Deno.readTextFile(`${smoothed.path}/smooth.json`)).includes("worst"));
});

Deno.test("smooth records itself, and works on rotated models with a word on QServe", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_wide_heads");
  const turned = await chain.run(rotate, { model });
  const stats = await chain.calibrate(turned);
  const params = { projections: { sites: ["qkv_proj", "down_proj"], alpha: 0.3, beta: 0.7 } };
  const smoothed = await chain.run(smooth, { model: turned, stats }, params);
  const error = relativeError(await chain.logits(smoothed), await chain.logits(model));
  assert.ok(error < 1e-4, `relative error is ${error}`);
  assert.match(chain.notes.at(-1)!, /qkv_proj put scales into norm gains.*QServe/);
  const { history, lineage } = await readModelRecord(smoothed.path);
  assert.deepEqual(history.map(({ stage }) => stage), ["rotate", "smooth"]);
  assert.deepEqual(lineage.map(({ from }) => from), [turned.digest]);
});

Deno.test("smooth refuses what it cannot do", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_wide_heads");
  const stats = await chain.calibrate(model, { attention_windows: 0, rows: 8 });
  const refused = (model: Artifact, params: object, message: RegExp) =>
    assert.rejects(() => chain.run(smooth, { model, stats }, params), message);
  await refused(chain.family("qwen2_tied"), { attention: {} }, /Cannot use the stats/);
  await refused(model, { attention: { strategy: "grid" } }, /set attention_windows/);
  await refused(
    model,
    { projections: { strategy: "grid" } },
    /down_proj\.weight" in groups of 128: it has 72 columns/,
  );
  const turned = await chain.run(rotate, { model }, { transforms: ["down_proj"] });
  await refused(turned, { projections: {} }, /Cannot smooth down_proj: .* Hadamard transform/);
  const quantized = await chain.run(smooth, { model, stats }, { projections: {} });
  const record = await readModelRecord(quantized.path);
  const weights = { bits: 4, zero: "post_scale", group: 8, levels: 1 } as const;
  const linears = { [`${LAYER}.mlp.up_proj`]: { weights } };
  await writeModelRecord(quantized.path, { ...record, linears });
  await refused(quantized, { projections: {} }, /put smooth before quantize/);
});

Deno.test("parameters of smooth are checked before it runs", () => {
  const problems = (params: unknown) =>
    smooth.params.safeParse(params).error?.issues.map(({ message }) => message).join("; ") ?? "";
  assert.match(problems({}), /expected projections, attention or both/);
  assert.match(
    problems({ attention: { spans: [["rms", "rms"], ["abs_max", "rms"]] } }),
    /expected one pair with manual/,
  );
  assert.match(problems({ attention: { alpha: 0, beta: 0 } }), /expected one of them above 0/);
  assert.match(problems({ attention: { strategy: "grid", alpha: -1.5 } }), /expected 0 to 1, -1/);
  assert.equal(problems({ attention: { strategy: "grid", spans: [["rms", "rms"]] } }), "");
});

Deno.test("the tuned table of the recipes is parameters of smooth", async () => {
  const path = fileURLToPath(new URL("../../configs/tuned.json", import.meta.url));
  const { models } = JSON.parse(await Deno.readTextFile(path));
  assert.equal(Object.keys(models).length, 13);
  for (const recipes of Object.values<Record<string, unknown>>(models)) {
    for (const params of Object.values(recipes)) smooth.params.parse(params);
  }
  const { projections, attention } = models["llama-3-8b"].qoq_g128;
  assert.deepEqual([projections.alpha, projections.beta], [0.3, 0.7]);
  assert.deepEqual([attention.strategy, attention.beta], ["grid", -2]);
});

/**
 * Asserts that smooth changed every matrix of the layers, so that equal logits mean something; inside
 * an expert that no token went to nothing is known, and all stays.
 */
async function assertChanged(from: Artifact, to: Artifact, statistics: Artifact): Promise<void> {
  using before = await openModel(from.path);
  using after = await openModel(to.path);
  using stats = await openStats(statistics, from);
  const { architecture: { layers } } = before;
  for (const site of layers.flatMap(({ sites }) => sites)) {
    const { layer, name, expert, fedBy } = site;
    if (fedBy.kind === "stream") continue;
    if (expert !== undefined && await stats.tokens(layer, name) === 0) continue;
    for (const { weight } of readersOf(site)) {
      const values = await after.checkpoint.read(weight);
      assert.notDeepEqual(values, await before.checkpoint.read(weight), weight);
    }
  }
}
