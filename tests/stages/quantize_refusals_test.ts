import { strict as assert } from "node:assert";
import type { Artifact } from "../../pipeline/artifact.ts";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import { readModelRecord } from "../../stages/models/model_record.ts";
import { readCoded } from "../../stages/quant/stored_weight.ts";
import { weightScheme } from "../../stages/quant/schemes.ts";
import { quantize } from "../../stages/quantize.ts";
import { reorder } from "../../stages/reorder.ts";
import { rotate } from "../../stages/rotate.ts";
import { smooth } from "../../stages/smooth.ts";
import { StageChain } from "../support/stage_chain.ts";

const [FAMILY, LAYERS] = ["llama_llama3_gqa_tied", 2];
const RTN = { method: "rtn", weights: { group: 8 } };
const UP = "model.layers.1.mlp.up_proj";

/** What is asked for, and the sentence that answers. */
const REFUSED: readonly (readonly [what: string, params: object, message: RegExp])[] = [
  [
    "a group that does not divide",
    { method: "rtn", weights: { group: 32 } },
    /"model\.layers\.0\.mlp\.down_proj\.weight" in groups of 32: it has 72 columns.* is 24$/,
  ],
  [
    "a group that cuts words of codes",
    { method: "rtn", weights: { group: 4 } },
    /"model\.layers\.0\.self_attn\.q_proj\.weight" in groups of 4: expected a multiple of 8/,
  ],
  ["GPTQ without stats", { weights: { group: 8 } }, /by GPTQ: there are no stats, expected those/],
  [
    "a search by outputs without stats",
    { ...RTN, range: {} },
    /with ranges searched by outputs: there are no stats/,
  ],
  [
    "static activations without stats",
    {
      method: "rtn",
      weights: { bits: 8, group: "row", zero: "none" },
      activations: "static",
    },
    /to static ranges: there are no stats.*set activations to dynamic/,
  ],
  [
    "quantized inputs without tokens",
    { ...RTN, inputs: "quantized" },
    /inputs of quantized layers: there are no tokens/,
  ],
  [
    "inputs behind weights of two levels alone",
    { ...RTN, weights: { group: 8, levels: 2 }, activations: "dynamic", inputs: "weights" },
    /weights of two levels run on quantized inputs only, expected levels 1; or set inputs to/,
  ],
  [
    "a shift from inputs that are exact",
    { ...RTN, shift: {} },
    /shift weights for inputs original: they are exact, expected inputs quantized or weights; or leave shift/,
  ],
  [
    "a shift from codes of inputs",
    { ...RTN, inputs: "codes", shift: {}, activations: "dynamic", weights: { group: "row" } },
    /shift weights for inputs codes: codes are no inputs that weights meet, expected inputs quantized/,
  ],
  [
    "groups of one level with 8-bit activations",
    { ...RTN, activations: "dynamic" },
    /no scale a group, expected levels 2 or group row/,
  ],
  [
    "unsigned bytes with 8-bit activations",
    { method: "rtn", weights: { bits: 8, group: "row" }, activations: "dynamic" },
    /unsigned bytes do not fit the integer product, expected zero none/,
  ],
  [
    "two levels without activations",
    { method: "rtn", weights: { group: 8, levels: 2 } },
    /two levels are for 8-bit activations, expected activations dynamic or static/,
  ],
  [
    "two levels of 8 bits",
    { method: "rtn", weights: { bits: 8, group: 8, levels: 2 }, activations: "dynamic" },
    /two levels are 8-bit integers made of smaller codes, expected 2 to 4 bits/,
  ],
  [
    "two levels without groups",
    { method: "rtn", weights: { group: "row", levels: 2 }, activations: "dynamic" },
    /two levels need groups, expected a number for group/,
  ],
  [
    "outliers without inputs in groups",
    { ...RTN, weights: { group: 8, zero: "none", outlier_bits: 8 } },
    /outliers are multiplied group by group, expected activations with a group/,
  ],
  [
    "outliers with zero points",
    { ...RTN, weights: { group: 8, outlier_bits: 8 }, activations: { group: 8 } },
    /outliers are bytes behind smaller codes in groups, expected up to 4 bits, zero none/,
  ],
  [
    "full codes with zero points",
    { ...RTN, weights: { group: 8, full: true } },
    /full codes are those without zero points of one level, expected zero none/,
  ],
  [
    "inputs in groups that weights have not",
    { ...RTN, weights: { group: 8, zero: "none" }, activations: { group: 16 } },
    /inputs have groups of 16, expected those of weights/,
  ],
  [
    "inputs in groups under one range",
    { ...RTN, weights: { group: 8, zero: "none" }, activations: { range: "static", group: 8 } },
    /scales that are measured on each token, expected range dynamic/,
  ],
  [
    "inputs in groups with zeros behind the scale",
    { ...RTN, activations: { group: 8 } },
    /sums of groups are integers of smaller codes.* and zero none or pre_scale/,
  ],
  [
    "a search of ranges that rows share",
    { ...RTN, weights: { group: 8, zero: "none" }, shared_rows: 2, range: { objective: "tensor" } },
    /with shared rows and search ranges: a ratio is for one group of one row.*set ratio/,
  ],
  [
    "rows that cannot share",
    { ...RTN, weights: { group: 8, zero: "none" }, shared_rows: 7 },
    /with scales of 7 rows: it has 64, expected a multiple of 7/,
  ],
  [
    "shared rows of two levels",
    { ...RTN, weights: { group: 8, levels: 2 }, activations: "dynamic", shared_rows: 2 },
    /with shared rows: weights have two levels of scales, expected a scale a group or row/,
  ],
  [
    "groups measured late in the order of activations",
    { weights: { group: 8, zero: "none" }, gptq: { static_groups: false } },
    /in the order of activations: groups are of neighbouring columns, expected gptq.activation_order/,
  ],
  [
    "groups measured late that are gone over again",
    {
      weights: { group: 8, zero: "none" },
      gptq: { static_groups: false, activation_order: false, descents: 1 },
    },
    /go over all columns again: their grids are known behind GPTQ only, expected no gptq.descents/,
  ],
  [
    "outliers by GPTQ that knows its groups",
    {
      weights: { group: 8, zero: "none", outlier_bits: 8 },
      activations: { group: 8 },
    },
    /take all errors of their row before they are rounded, expected gptq.static_groups false/,
  ],
  [
    "codes of inputs that have none",
    { ...RTN, inputs: "codes" },
    /from codes of inputs: inputs are not quantized, expected activations dynamic or static/,
  ],
  [
    "nothing",
    { ...RTN, skips: ["qkv_proj", "out_proj", "up_proj", "down_proj"] },
    /every linear is among skips, expected some to be left/,
  ],
];

Deno.test("quantize refuses what it cannot do before it writes anything", async () => {
  await using chain = await StageChain.open();
  const model = chain.family(FAMILY);
  for (const [what, params, message] of REFUSED) {
    const left = await chain.refuses(quantize, { inputs: { model }, params, message });
    assert.deepEqual(left, [], what);
  }
});

Deno.test("quantize refuses stats that do not serve, and texts that are too short", async () => {
  await using chain = await StageChain.open();
  const model = chain.family(FAMILY);
  const stats = await chain.calibrate(model);
  const other = await chain.calibrate(chain.family("qwen2_tied"), { gram: true });
  const tokens = await chain.tokens(64);
  const cases: [inputs: Record<string, Artifact>, params: object, message: RegExp][] = [
    [{ model, stats }, { weights: { group: 8 } }, /by GPTQ: there is no Gram matrix in the stats/],
    [{ model, stats }, { ...RTN, range: {} }, /by outputs: there is no Gram matrix in the stats/],
    [{ model, stats: other }, RTN, /Cannot use the stats for this model/],
    [
      { model, tokens },
      { ...RTN, inputs: "quantized", windows: 3, context: 32 },
      /3 windows of 32 tokens: the text has 64 tokens, expected at least 96/,
    ],
  ];
  for (const [inputs, params, message] of cases) {
    assert.deepEqual(await chain.refuses(quantize, { inputs, params, message }), []);
  }
});

Deno.test("parameters of quantize are checked before it runs", () => {
  const fails = (params: unknown) => assert.ok(!quantize.params.safeParse(params).success);
  // GPTQ's kernel takes blocks of whole vectors up to a workgroup.
  for (const block of [0, 6, 260]) fails({ gptq: { block } });
  fails({ gptq: { damping: 0 } });
  fails({ gptq: { tries: 0 } });
  fails({ weights: { bits: 5 } });
  fails({ skips: ["lm_head"] });
  fails({ ratio: 0 });
  fails({ shift: { damping: 0 } });
});

Deno.test("a quantized model takes no stage that changes weights", async () => {
  await using chain = await StageChain.open();
  const plain = chain.family(FAMILY);
  const stats = await chain.calibrate(plain);
  const model = await chain.run(quantize, { model: plain }, RTN);
  const cases = [
    [quantize, { model }, RTN, "quantize"],
    [rotate, { model }, {}, "rotate"],
    [smooth, { model, stats }, { projections: {} }, "smooth"],
    [reorder, { model, stats }, {}, "reorder"],
  ] as const;
  for (const [stage, inputs, params, name] of cases) {
    const message = new RegExp(
      `Cannot ${name} the model: its "model\\.layers\\.0\\.self_attn\\.q_proj" is quantized already.*put ${name} before quantize`,
    );
    assert.deepEqual(await chain.refuses(stage, { inputs, params, message }), []);
  }
});

Deno.test("groups that do not divide are made smaller where that is asked for, and said", async () => {
  await using chain = await StageChain.open();
  const model = chain.family(FAMILY);
  const shrunk = await chain.run(quantize, { model }, {
    method: "rtn",
    weights: { group: 32 },
    uneven_group: "shrink",
  });
  assert.match(
    chain.notes[0]!,
    /^groups of 32 do not divide the columns of 2 of 14 linears, which get groups of 24$/,
  );
  const { linears } = await readModelRecord(shrunk.path);
  for (const [name, { weights }] of Object.entries(linears)) {
    assert.equal(weights.group, name.endsWith("down_proj") ? 24 : 32, name);
  }
});

Deno.test("NaN in a weight or a Gram matrix is refused by its name, and no model is finished", async () => {
  await using chain = await StageChain.open();
  const model = chain.family(FAMILY);
  const broken = await chain.edited(model, (name, values) => {
    if (name === `${UP}.weight`) values[70] = NaN;
  });
  const left = await chain.refuses(quantize, {
    inputs: { model: broken },
    params: RTN,
    message: /tensor "model\.layers\.1\.mlp\.up_proj\.weight" of ".*": its value 70 is NaN/,
  });
  assert.ok(!left.includes("model.json") && !left.includes("config.json"), `${left}`);
  const stats = await chain.calibrate(model, { gram: true });
  const bad = await chain.editedStats(stats, LAYERS, (name, values) => {
    if (name === "layers.1.mlp.out.gram") values[3] = NaN;
  });
  const after = await chain.refuses(quantize, {
    inputs: { model, stats: bad },
    params: { weights: { group: 8 } },
    message: /Gram matrix.*model\.layers\.1\.mlp\.down_proj.*is NaN/,
  });
  assert.ok(!after.includes("model.json") && !after.includes("config.json"), `${after}`);
});

Deno.test("a weight of zeros gets codes of zero value in every form", async () => {
  await using chain = await StageChain.open();
  const model = await chain.edited(chain.family(FAMILY), (name, values) => {
    if (name === `${UP}.weight`) values.fill(0);
  });
  const stats = await chain.calibrate(model, { gram: true });
  const a8 = { activations: "dynamic" };
  const forms = [
    { weights: { group: 8 } },
    { weights: { group: "row", zero: "pre_scale", bits: 8 } },
    { weights: { group: "tensor", zero: "none" } },
    { weights: { group: 8, levels: 2 }, ...a8 },
    { weights: { group: 8, levels: 2, zero: "pre_scale" }, ...a8 },
  ];
  for (const form of forms) {
    for (const params of [{ ...form, method: "rtn" }, { ...form, range: { grids: 2 } }]) {
      const quantized = await chain.run(quantize, { model, stats }, params);
      const { measured } = await readModelRecord(quantized.path);
      const { weightError, outputError } = measured.linears[UP]!;
      assert.deepEqual([weightError, outputError], [0, 0]);
      using checkpoint = await openCheckpoint(quantized.path);
      const scheme = weightScheme.parse(form.weights);
      const { codes } = await readCoded(checkpoint, UP, scheme);
      assert.ok(Array.from<number>(codes).every((code) => code === 0), JSON.stringify(form));
      assert.ok((await chain.logits(quantized)).every(Number.isFinite));
    }
  }
});

Deno.test("sites that nothing reaches are rounded to nearest, and the report says why", async () => {
  await using chain = await StageChain.open();
  const model = await chain.edited(chain.family(FAMILY), (name, values) => {
    if (name === "model.layers.0.input_layernorm.weight") values.fill(0);
  });
  const stats = await chain.calibrate(model, { gram: true });
  const quantized = await chain.run(quantize, { model, stats }, { weights: { group: 8 } });
  // Without inputs there are no values, so that nothing reaches out_proj, either.
  const dead = ["q", "k", "v", "o"].map((role) => `model.layers.0.self_attn.${role}_proj`);
  await assertFallbacks(chain, quantized, { dead, reason: /no activation reached it/ });
  const nearest = await chain.run(quantize, { model }, RTN);
  using before = await openCheckpoint(nearest.path);
  using after = await openCheckpoint(quantized.path);
  for (const name of dead) {
    const codes = `${name}.codes`;
    assert.deepEqual(await after.readRaw(codes), await before.readRaw(codes), name);
  }
});

Deno.test("a site whose Gram matrix cannot be factored is rounded to nearest, and the report says why", async () => {
  await using chain = await StageChain.open();
  const model = chain.family(FAMILY);
  const stats = await chain.calibrate(model, { gram: true });
  const singular = await chain.editedStats(stats, LAYERS, (name, values) => {
    if (name === "layers.1.mlp.in.gram") values.fill(1);
  });
  const quantized = await chain.run(quantize, { model, stats: singular }, {
    weights: { group: 8 },
    // In single precision 1 + 3e-8 is 1, so that nothing is left behind the first column.
    gptq: { damping: 3e-8, tries: 1 },
  });
  const { measured } = await readModelRecord(quantized.path);
  const dead = ["gate", "up"].map((role) => `model.layers.1.mlp.${role}_proj`);
  for (const name of dead) {
    const { method, fallback } = measured.linears[name]!;
    assert.equal(method, "rtn");
    assert.match(fallback!, /not positive definite with 3e-8 .* after 1 tries/);
    assert.ok(chain.notes.some((note) => note.startsWith(`"${name}" was rounded to nearest`)));
  }
  const damped = await chain.run(quantize, { model, stats: singular }, { weights: { group: 8 } });
  await assertFallbacks(chain, damped, { dead: [], reason: /none/ });
});

for (const inputs of ["original", "quantized"]) {
  Deno.test(`quantize from ${inputs} inputs stops when asked to, and leaves no tensor on the device`, async () => {
    // The chain's device throws at its end where a tensor is left.
    await using chain = await StageChain.open();
    const model = chain.family(FAMILY);
    const stats = await chain.calibrate(model, { gram: true });
    const tokens = await chain.tokens(64);
    const stop = new AbortController();
    const reason = new Error("enough");
    const last = inputs === "original" ? 0 : 1;
    const given = {
      signal: stop.signal,
      progress(done: number) {
        assert.ok(done <= last);
        if (done === last) stop.abort(reason);
      },
    };
    const params = { weights: { group: 8 }, inputs, windows: 2, context: 32 };
    await assert.rejects(
      () => chain.run(quantize, { model, stats, tokens }, params, given),
      reason,
    );
  });
}

/** Asserts that these linears alone were rounded to nearest instead of by GPTQ, for a reason. */
async function assertFallbacks(
  chain: StageChain,
  { path }: Artifact,
  { dead, reason }: { readonly dead: readonly string[]; readonly reason: RegExp },
): Promise<void> {
  const { measured } = await readModelRecord(path);
  for (const [name, { method, fallback, damping }] of Object.entries(measured.linears)) {
    assert.equal(method, dead.includes(name) ? "rtn" : "gptq", name);
    if (!dead.includes(name)) {
      assert.deepEqual([fallback, damping], [undefined, 0.01], name);
      continue;
    }
    assert.match(fallback!, reason);
    assert.ok(chain.notes.includes(`"${name}" was rounded to nearest: ${fallback}`), name);
  }
}
