import { strict as assert } from "node:assert";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { attention } from "../../kernels/mod.ts";
import { PAGE_TOKENS, pageWords } from "../../kernels/codes/kv_page.ts";
import { canMix } from "../../kernels/rope.ts";
import type { Artifact } from "../../pipeline/artifact.ts";
import { calibrate } from "../../stages/calibrate.ts";
import { calibrate_kv } from "../../stages/calibrate_kv.ts";
import { openStats } from "../../stages/calibration/stats.ts";
import { evaluate } from "../../stages/evaluate.ts";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import type { KvSchemes } from "../../stages/models/attend.ts";
import { architectureOf } from "../../stages/models/architecture.ts";
import { Model } from "../../stages/models/model.ts";
import { type ModelRecord, readModelRecord } from "../../stages/models/model_record.ts";
import { quantize } from "../../stages/quantize.ts";
import { reorder } from "../../stages/reorder.ts";
import { rotate } from "../../stages/rotate.ts";
import { smooth } from "../../stages/smooth.ts";
import { fakeKeys, fakeQuantize } from "../support/fake_quantization.ts";
import { logitsOf, relativeError } from "../support/forward_pass.ts";
import { StageChain } from "../support/stage_chain.ts";

const FORMS: readonly object[] = [
  {},
  { zero: "pre_scale", group: 8 },
  { zero: "none" },
  { bits: 8 },
  { bits: 8, zero: "none", range: "static" },
  { bits: 8, zero: "none", range: "static", clips: [0.5] },
];

// Heads of their own, one kv head of an odd size, and a window.
for (const family of ["llama_linear_biases", "llama_wide_heads", "mistral_window"]) {
  Deno.test(`KV errors of ${family} are those of the kernels' references`, async () => {
    await using chain = await StageChain.open();
    const model = chain.family(family);
    const stats = await chain.calibrate(model);
    const { config: { headSize } } = architectureOf((await openCheckpoint(model.path)).config);
    const mixed = [{ rotate_keys: true }, { rotate_keys: true, center_keys: true, bits: 8 }];
    for (const form of [...FORMS, { center_keys: true }, ...canMix(headSize) ? mixed : []]) {
      const { kv, measured } = await calibrated(chain, { model, stats }, form);
      assert.deepEqual([kv.length, measured.kv.length], [2, 2]);
      for (const [layer, schemes] of kv.entries()) {
        close(measured.kv[layer]!, await errorOf(schemes, { stats, model, layer }), 1e-2);
      }
    }
  });
}

Deno.test("the error falls from 4 to 8 bits and with smaller groups, and is never 0", async () => {
  await using chain = await StageChain.open();
  const inputs = await small(chain);
  for (const zero of ["none", "pre_scale", "post_scale"]) {
    const errors = async (form: object) =>
      (await calibrated(chain, inputs, { zero, ...form })).measured.kv;
    const [four, eight, fine] = [
      await errors({}),
      await errors({ bits: 8 }),
      await errors({ group: 8 }),
    ];
    four.forEach((error, layer) => {
      assert.ok(eight[layer]! > 0 && eight[layer]! < error / 50, `${zero}: ${eight} after ${four}`);
      assert.ok(fine[layer]! < error, `${zero}: ${fine} after ${four}`);
    });
  }
});

Deno.test("fitted ranges are in the record, and attention errs as the kernels' references do with them", async () => {
  await using chain = await StageChain.open();
  for (const family of ["llama_linear_biases", "qwen2_untied"]) {
    const model = chain.family(family);
    const inputs = { model, stats: await chain.calibrate(model) };
    const whole = await calibrated(chain, inputs, {});
    const fitted = await calibrated(chain, inputs, { fit_ranges: true });
    for (const { key, value } of fitted.kv) assert.deepEqual([key.fit, value.fit], [true, true]);
    for (const { key } of whole.kv) assert.equal(key.fit, undefined);
    assert.notDeepEqual(fitted.measured.kv, whole.measured.kv);
    for (const [layer, schemes] of fitted.kv.entries()) {
      close(fitted.measured.kv[layer]!, await errorOf(schemes, { ...inputs, layer }), 1e-2);
    }
  }
});

Deno.test("codes of compensated keys make up for those before them by the record, and attention errs less", async () => {
  await using chain = await StageChain.open();
  for (const family of ["llama_linear_biases", "qwen2_untied"]) {
    const model = chain.family(family);
    const inputs = { model, stats: await chain.calibrate(model) };
    for (const form of [{}, { rotate_keys: true, center_keys: true, group: 8 }, { bits: 8 }]) {
      const plain = await calibrated(chain, inputs, form);
      const { kv, measured } = await calibrated(chain, inputs, { ...form, compensate_keys: true });
      for (const [layer, schemes] of kv.entries()) {
        const { keyCompensation: _, ...others } = schemes;
        assert.deepEqual(others, plain.kv[layer]);
        close(measured.kv[layer]!, await errorOf(schemes, { ...inputs, layer }), 3e-2);
      }
      const sum = (errors: readonly number[]) => errors.reduce((a, b) => a + b);
      assert.ok(
        sum(measured.kv) < 0.95 * sum(plain.measured.kv),
        `${measured.kv} ${plain.measured.kv}`,
      );
    }
  }
});

Deno.test("sinks are in the record, and attention errs as the kernels' references do with them", async () => {
  await using chain = await StageChain.open();
  for (const family of ["llama_linear_biases", "mistral_window"]) {
    const model = chain.family(family);
    const inputs = { model, stats: await chain.calibrate(model) };
    for (const form of [{}, { center_keys: true }, { bits: 8, zero: "none", range: "static" }]) {
      const plain = await calibrated(chain, inputs, form);
      const none = await calibrated(chain, inputs, { ...form, sinks: 0 });
      assert.deepEqual([none.kv, none.measured], [plain.kv, plain.measured]);
      const { kv, measured } = await calibrated(chain, inputs, { ...form, sinks: 3 });
      for (const [layer, schemes] of kv.entries()) {
        assert.deepEqual(schemes, { ...plain.kv[layer], sinks: 3 });
        assert.ok(measured.kv[layer]! < plain.measured.kv[layer]!);
        close(measured.kv[layer]!, await errorOf(schemes, { ...inputs, layer }), 2e-2);
      }
    }
  }
});

for (const form of [{}, { rotate_keys: true, center_keys: true }, { before_rope: true, bits: 8 }]) {
  Deno.test(`where all tokens are sinks, logits are those of keys and values of half precision: ${JSON.stringify(form)}`, async () => {
    await using chain = await StageChain.open();
    const { model, stats } = await embedded(chain);
    const ids = Array.from({ length: 16 }, (_, i) => (i * i * 7 + 13) % 500);
    await using device = await Cpu.open();
    const logits = async ({ path }: Artifact) => {
      using opened = await Model.open(path, device, { weightBytes: Infinity });
      return await logitsOf(device, opened, ids);
    };
    const expected = await logits(model);
    const kept = await chain.run(calibrate_kv, { model, stats }, { ...form, sinks: 16 });
    const coded = await chain.run(calibrate_kv, { model, stats }, form);
    const [none, all] = [await logits(kept), await logits(coded)]
      .map((got) => relativeError(got, expected));
    assert.ok(none! < 1e-3 && all! > 4 * none!, `${none} with sinks, ${all} without`);
  });
}

Deno.test("a step takes over the weights, records itself and says what it cost", async () => {
  await using chain = await StageChain.open();
  const { model, stats } = await small(chain);
  const params = { group: 8, zero: "pre_scale" };
  const made = await chain.run(calibrate_kv, { model, stats }, params);
  const bytes = ({ path }: Artifact) => Deno.readFile(`${path}/model.safetensors`);
  assert.deepEqual(await bytes(made), await bytes(model));
  const { kv, measured, history, lineage, linears } = await readModelRecord(made.path);
  const scheme = { bits: 4, ...params };
  assert.deepEqual(kv, [0, 1].map(() => ({ key: scheme, value: scheme })));
  assert.deepEqual(history.map(({ stage }) => stage), ["calibrate_kv"]);
  assert.deepEqual([lineage.map(({ from }) => from), linears], [[model.digest], {}]);
  const [a, b] = measured.kv;
  const worst = a! >= b! ? 0 : 1;
  assert.equal(
    chain.notes.at(-1),
    `relative squared error of the attention output ${
      ((a! + b!) / 2).toExponential(2)
    } on average, ${measured.kv[worst]!.toExponential(2)} in layer ${worst}`,
  );
});

Deno.test("layers above an error, and only those, fall back to 8 bits", async () => {
  await using chain = await StageChain.open();
  const inputs = await embedded(chain);
  const [plain, wide] = [
    await calibrated(chain, inputs, {}),
    await calibrated(chain, inputs, { bits: 8 }),
  ];
  const errors = plain.measured.kv;
  assert.equal(new Set(errors).size, 4);
  for (const error of errors) {
    // One layer lies on the bound: it is not above.
    const { kv, measured } = await calibrated(chain, inputs, { fallback: { error } });
    kv.forEach(({ key, value }, layer) => {
      const from = errors[layer]! > error ? wide : plain;
      assert.deepEqual([key, value], [from.kv[layer]!.key, from.kv[layer]!.value]);
      assert.equal(measured.kv[layer], from.measured.kv[layer]);
    });
  }
  const count = errors.filter((error) => error > errors[0]!).length;
  await calibrated(chain, inputs, { fallback: { error: errors[0]! } });
  const said = chain.notes.some((note) => note === `${count} of 4 layers have 8 bits`);
  assert.equal(said, count > 0);
});

Deno.test("the worst layers fall back to 8 bits as long as a token's bytes allow", async () => {
  await using chain = await StageChain.open();
  const inputs = await embedded(chain);
  const errors = (await calibrated(chain, inputs, {})).measured.kv;
  const worst = [...errors.keys()].sort((a, b) => errors[b]! - errors[a]!);
  // Keys and values of two heads of 64: nibbles or bytes, and a scale and a zero of 2 bytes.
  const [four, eight] = [2 * 2 * (32 + 4), 2 * 2 * (64 + 4)];
  for (let count = 0; count <= 4; count++) {
    const least = (4 - count) * four + count * eight;
    for (const [room, got] of [[0, count], [eight - four - 1, count], [-1, count - 1]] as const) {
      const fallback = { bytes_per_token: least + room };
      const { kv } = await calibrated(chain, inputs, { fallback });
      const wide = [...kv.keys()].filter((layer) => kv[layer]!.key.bits === 8);
      assert.deepEqual(wide, worst.slice(0, Math.max(0, got)).sort());
      if (count > 0) assert.ok(tokenBytes(kv, { kvHeads: 2, headSize: 64 }) <= least + room);
    }
  }
  // With both bounds, the error says which and the bytes how many.
  const both = { error: errors[worst[2]!]!, bytes_per_token: 3 * four + eight };
  const { kv } = await calibrated(chain, inputs, { fallback: both });
  assert.deepEqual(kv.map(({ key }) => key.bits === 8), errors.map((_, at) => at === worst[0]));
});

for (
  const form of [
    { zero: "post_scale", bits: 4 },
    { zero: "none", bits: 8, range: "static" },
  ]
) {
  Deno.test(`each layer keeps the clip of least error: ${JSON.stringify(form)}`, async () => {
    await using chain = await StageChain.open();
    const inputs = await small(chain);
    const clips = [1, 0.9, 0.75, 0.5];
    const alone: ModelRecord[] = [];
    for (const clip of clips) {
      alone.push(await calibrated(chain, inputs, { ...form, clips: [clip] }));
    }
    const { kv, measured } = await calibrated(chain, inputs, { ...form, clips });
    for (const layer of [0, 1]) {
      const errors = alone.map(({ measured }) => measured.kv[layer]!);
      assert.equal(new Set(errors).size, clips.length, `clips do nothing: ${errors}`);
      const best = errors.indexOf(Math.min(...errors));
      assert.equal(measured.kv[layer], errors[best]);
      assert.deepEqual(kv[layer], alone[best]!.kv[layer]);
    }
  });
}

Deno.test("static ranges are the largest magnitudes that calibration saw", async () => {
  await using chain = await StageChain.open();
  const { model, stats } = await small(chain);
  using opened = await openStats(stats, model);
  for (const clip of [1, 0.75]) {
    const form = { bits: 8, zero: "none", range: "static", clips: [clip] };
    const { kv } = await calibrated(chain, { model, stats }, form);
    for (const [layer, { key, value }] of kv.entries()) {
      for (const [tap, scheme] of [["keys", key], ["values", value]] as const) {
        const largest = await opened.magnitude(layer, `layers.${layer}.attention.${tap}`, "absmax");
        assert.equal(scheme.range, clip * Math.max(...largest));
      }
    }
  }
});

Deno.test("calibrate_kv refuses what it cannot do", async () => {
  await using chain = await StageChain.open();
  const { model, stats } = await small(chain);
  const blind = await chain.calibrate(model, { attention_windows: 0 });
  const other = await chain.calibrate(chain.family("qwen2_tied"));
  const fixed = { range: "static" };
  const cases: [stats: Artifact, params: object, message: RegExp][] = [
    [stats, { ...fixed, bits: 8 }, /static range with zero post_scale.*expected zero none$/],
    [stats, { ...fixed, bits: 8, zero: "pre_scale" }, /static range with zero pre_scale/],
    [stats, { ...fixed, zero: "none" }, /in 4 bits under a static range: expected 8 bits/],
    [stats, { ...fixed, bits: 8, zero: "none", rotate_keys: true }, /keys under a static range/],
    [stats, { ...fixed, bits: 8, zero: "none", center_keys: true }, /keys under a static range/],
    [stats, { ...fixed, bits: 8, zero: "none", before_rope: true }, /keys under a static range/],
    [stats, { before_rope: true, rotate_keys: true }, /rotate or center them behind: expected one/],
    [
      stats,
      { before_rope: true, compensate_keys: true },
      /queries weigh them behind, expected one/,
    ],
    [
      stats,
      { ...fixed, bits: 8, zero: "none", fit_ranges: true },
      /fit ranges that are static: one/,
    ],
    [stats, { group: 24 }, /groups of 24: a head has 16 channels, expected one of 8, 16; or set/],
    [stats, { group: 4 }, /groups of 4: a head has 16 channels.*set group to head$/],
    [blind, {}, /the stats keep no window of queries, keys and values.*set attention_windows/],
    [other, {}, /Cannot use the stats for this model/],
  ];
  for (const [stats, params, message] of cases) {
    assert.deepEqual(
      await chain.refuses(calibrate_kv, {
        inputs: { model, stats },
        params,
        message,
      }),
      [],
    );
  }
  for (const form of [{ center_keys: true }, { rotate_keys: true }, { before_rope: true }]) {
    const cached = await chain.run(calibrate_kv, { model, stats }, form);
    const inputs = { model: cached, tokens: await chain.tokens(64) };
    const message = /keys are rotated, centered or not turned.*put calibrate before calibrate_kv/;
    await chain.refuses(calibrate, { inputs, params: { windows: 2, context: 32 }, message });
  }
  const fails = (params: unknown) => assert.ok(!calibrate_kv.params.safeParse(params).success);
  fails({ bits: 3 });
  for (const sinks of [-1, 1.5, 17]) fails({ sinks });
  fails({ clips: [] });
  fails({ clips: [1.2] });
  fails({ fallback: {} });
});

Deno.test("a model with a quantized cache takes no stage that changes channels", async () => {
  await using chain = await StageChain.open();
  const { model, stats } = await small(chain);
  const cached = await chain.run(calibrate_kv, { model, stats });
  const cases = [
    [rotate, { model: cached }, {}],
    [smooth, { model: cached, stats }, { projections: {} }],
    [reorder, { model: cached, stats }, {}],
  ] as const;
  for (const [stage, inputs, params] of cases) {
    await chain.refuses(stage, { inputs, params, message: /KV cache is quantized already/ });
  }
});

Deno.test("stats of the model in full precision serve the quantized one", async () => {
  await using chain = await StageChain.open();
  const { model, stats } = await small(chain);
  const quantized = await chain.run(quantize, { model, stats }, {
    method: "rtn",
    weights: { group: 8, levels: 2 },
    activations: "dynamic",
  });
  const both = await chain.run(calibrate_kv, { model: quantized, stats });
  const { kv, measured, linears, history, lineage } = await readModelRecord(both.path);
  const plain = await calibrated(chain, { model, stats }, {});
  // The windows are the same, and so are the errors.
  assert.deepEqual([kv, measured.kv], [plain.kv, plain.measured.kv]);
  assert.deepEqual(history.map(({ stage }) => stage), ["quantize", "calibrate_kv"]);
  assert.deepEqual(lineage.map(({ from }) => from), [model.digest, quantized.digest]);
  const before = await readModelRecord(quantized.path);
  assert.deepEqual([linears, measured.linears], [before.linears, before.measured.linears]);
  for (const { file } of lineage) assert.ok((await Deno.stat(`${both.path}/${file}`)).isFile);
  const tokens = await chain.tokens(64);
  const perplexity = async (model: Artifact) => {
    const report = await chain.run(evaluate, { model, tokens }, { context: 32 });
    const { scores } = JSON.parse(await Deno.readTextFile(`${report.path}/report.json`));
    return scores.perplexity as number;
  };
  const change = Math.abs(await perplexity(both) / await perplexity(model) - 1);
  assert.ok(change > 0 && change < 0.1, `perplexity changes by ${change}`);
});

/** A model whose heads share keys and values, and its stats. */
async function small(chain: StageChain) {
  const model = chain.family("llama_llama3_gqa_tied");
  return { model, stats: await chain.calibrate(model) };
}

/** The model that ships with the program, which has four layers, and its stats. */
async function embedded(chain: StageChain) {
  const model = chain.embedded();
  const params = { windows: 1, context: 64, rows: 1, attention_windows: 1, gram: false };
  const tokens = await chain.tokens(64);
  return { model, stats: await chain.run(calibrate, { model, tokens }, params) };
}

async function calibrated(
  chain: StageChain,
  inputs: { readonly model: Artifact; readonly stats: Artifact },
  params: object,
): Promise<ModelRecord> {
  return await readModelRecord((await chain.run(calibrate_kv, inputs, params)).path);
}

/** Squared error of a layer's attention over the kept windows, relative to it, on the host. */
async function errorOf(
  schemes: KvSchemes,
  { stats, model, layer }: {
    readonly stats: Artifact;
    readonly model: Artifact;
    readonly layer: number;
  },
): Promise<number> {
  using checkpoint = await openCheckpoint(model.path);
  const { config: { heads, kvHeads, headSize, windows }, layers } = architectureOf(
    checkpoint.config,
  );
  const options = windows[layer] === undefined ? {} : { window: windows[layer] };
  using opened = await openStats(stats, model);
  let [error, size] = [0, 0];
  for (const window of [0, 1]) {
    const [q, k, v] = await Promise.all(
      (["queries", "keys", "values"] as const).map(async (tap) =>
        (await opened.window(layer, layers[layer]!.taps[tap].name, window)).values
      ),
    );
    const tensor = (data: Float32Array, count: number) =>
      f32([data.length / count / headSize, count, headSize], data);
    const attended = (k: Float32Array, v: Float32Array) =>
      attention.reference({
        q: tensor(q!, heads),
        k: tensor(k, kvHeads),
        v: tensor(v, kvHeads),
      }, options).y.data;
    const exact = attended(k!, v!);
    const row = kvHeads * headSize;
    const kept = (values: Float32Array, rounded: Float32Array) =>
      rounded.map((value, i) => i < (schemes.sinks ?? 0) * row ? Math.f16round(values[i]!) : value);
    const rounded = attended(
      kept(k!, fakeKeys(k!, headSize, schemes)),
      kept(v!, fakeQuantize(v!, schemes.value.group, schemes.value)),
    );
    exact.forEach((is, i) => {
      error += (rounded[i]! - is) ** 2;
      size += is ** 2;
    });
  }
  return error / size;
}

/** Bytes that keys and values of a token take over all layers. */
function tokenBytes(
  kv: readonly KvSchemes[],
  { kvHeads, headSize }: { readonly kvHeads: number; readonly headSize: number },
): number {
  return kv.flatMap(({ key, value }) => [key, value]).reduce(
    (sum, scheme) => sum + 4 * pageWords(scheme, kvHeads, headSize) / PAGE_TOKENS,
    0,
  );
}

/** Asserts that two numbers agree, relative to the expected. */
function close(got: number, expected: number, within: number): void {
  assert.ok(Math.abs(got / expected - 1) < within, `got ${got}, expected ${expected}`);
}
