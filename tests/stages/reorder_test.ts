import { strict as assert } from "node:assert";
import { Gpu } from "../../kernels/device/gpu.ts";
import type { Artifact } from "../../pipeline/artifact.ts";
import { openStats } from "../../stages/calibration/stats.ts";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import { readModelRecord, writeModelRecord } from "../../stages/models/model_record.ts";
import {
  channelOrder,
  firstSmallest,
  identityOrder,
  metricKind,
  metricOf,
  ORDERINGS,
} from "../../stages/channels/order.ts";
import { noSpans, poolSpans, spanOf } from "../../stages/channels/spans.ts";
import { outputErrors } from "../../stages/channels/search_error.ts";
import { architectureOf } from "../../stages/models/architecture.ts";
import { fold } from "../../stages/fold.ts";
import { reorder } from "../../stages/reorder.ts";
import { rotate } from "../../stages/rotate.ts";
import { smooth } from "../../stages/smooth.ts";
import { relativeError } from "../support/forward_pass.ts";
import { INPUTS, once, PRECISION, WEIGHT } from "../support/golden_smoothing.ts";
import { assertSameStats } from "../support/lineage_check.ts";
import { FAMILIES, StageChain } from "../support/stage_chain.ts";

const ALL = ["residual", "out_proj", "down_proj"];
const LAYER = "model.layers.0";

Deno.test("leaving channels in place wins DeepCompressor's search on a GPU", async () => {
  await using device = await Gpu.open();
  const maps = [identityOrder(16), ...ORDERINGS.map(goldenOrder)].map((index) => ({ index }));
  const errors = await outputErrors(device, {
    inputs: INPUTS,
    weights: once(WEIGHT),
    maps,
    precision: PRECISION,
    signal: new AbortController().signal,
  });
  assert.equal(firstSmallest(errors), 0);
  assert.ok(errors.every(Number.isFinite) && new Set(errors).size > 2);
});

Deno.test("the first of equal errors wins", () => {
  assert.equal(firstSmallest([2, 1, 1, 3]), 1);
});

const VARIANTS: readonly (readonly [what: string, params: object])[] = [
  ["manual at every place", { sites: ALL }],
  [
    "dealt over groups by a product",
    { sites: ALL, metric: "rms_product", index: "transpose", weights: { group: 8 } },
  ],
  ["searched at every place", { sites: ALL, strategy: "grid", weights: { bits: 3, group: 8 } }],
];

for (const family of FAMILIES) {
  Deno.test(`reorder leaves the logits of ${family} as they are, and its stats follow`, async () => {
    await using chain = await StageChain.open();
    const model = chain.family(family);
    const stats = await chain.calibrate(model);
    const before = await chain.logits(model);
    for (const [what, params] of VARIANTS) {
      const ordered = await chain.run(reorder, { model, stats }, params);
      const error = relativeError(await chain.logits(ordered), before);
      assert.ok(error < 1e-4, `${what}: relative error is ${error}`);
      if (what !== "searched at every place") await assertChanged(model, ordered);
      await assertSameStats(ordered, stats, await chain.calibrate(ordered));
    }
  });

  Deno.test(`orders of ${family} that run online leave its logits as they are, and its stats follow`, async () => {
    await using chain = await StageChain.open();
    const model = chain.family(family);
    const stats = await chain.calibrate(model);
    const before = await chain.logits(model);
    using checkpoint = await openCheckpoint(model.path);
    const { layers } = architectureOf(checkpoint.config);
    const routed = layers.some(({ sites }) => sites.some(({ routers }) => routers));
    const params = { online: ["qkv_proj", "out_proj", "up_proj"], metric: "inputs_rms" };
    if (routed) {
      const message = /order up_proj online: a router reads layers\.\d\.mlp\.in.*leave up_proj out/;
      await chain.refuses(reorder, { inputs: { model, stats }, params, message });
    }
    const online = params.online.slice(0, routed ? 2 : 3);
    const ordered = await chain.run(reorder, { model, stats }, { ...params, online });
    const error = relativeError(await chain.logits(ordered), before);
    assert.ok(error < 1e-4, `relative error is ${error}`);
    const seen = await chain.calibrate(ordered);
    await assertSameStats(ordered, stats, seen);
    using opened = await openStats(seen, ordered);
    const { orders } = await readModelRecord(ordered.path);
    for (const { index, sites } of layers) {
      for (const { name, projection } of sites) {
        assert.equal(orders?.[name] !== undefined, online.includes(projection), name);
        if (orders?.[name]) assertAscends(await opened.magnitude(index, name, "rms"));
      }
    }
    for (const stage of [rotate, reorder, fold]) {
      const inputs = stage === reorder ? { model: ordered, stats } : { model: ordered };
      const message = /order of their own while it runs.*before the reorder step with online/;
      await chain.refuses(stage, { inputs, params: {}, message });
    }
  });
}

Deno.test("after reorder the measured channels ascend: everywhere, within heads, in the MLP", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("qwen2_tied");
  const stats = await chain.calibrate(model);
  const ordered = await chain.run(reorder, { model, stats }, { sites: ALL });
  using seen = await openStats(await chain.calibrate(ordered), ordered);
  const largest = (layer: number, site: string) =>
    seen.magnitude(layer, `layers.${layer}.${site}`, "absmax");
  const residual = new Float32Array(64);
  for (const layer of [0, 1]) {
    assertAscends(await largest(layer, "mlp.out"));
    const heads = await largest(layer, "attention.out");
    // 4 query heads and 2 kv heads of 16.
    for (const kvHead of [0, 1]) {
      const [first, second] = [2 * kvHead, 2 * kvHead + 1].map((head) =>
        heads.subarray(head * 16, (head + 1) * 16)
      );
      assertAscends(first!.map((value, c) => Math.max(value, second![c]!)));
    }
    for (const site of ["attention.in", "mlp.in"]) {
      (await largest(layer, site)).forEach((value, c) =>
        residual[c] = Math.max(residual[c]!, value)
      );
    }
  }
  assertAscends(residual);
});

Deno.test("a search takes an order that loses less, and says what it gained", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("mistral_window");
  const stats = await chain.calibrate(model);
  const params = { strategy: "grid", weights: { bits: 3, group: 8 } };
  const ordered = await chain.run(reorder, { model, stats }, params);
  const { choices } = JSON.parse(await Deno.readTextFile(`${ordered.path}/reorder.json`));
  assert.equal(choices.length, 2);
  for (const { ordering, error } of choices) {
    if (ordering === "as before") assert.equal(error.after, error.before);
    else assert.ok(error.after < error.before);
  }
  assert.match(chain.notes.at(-1)!, /^down_proj: output error is \d+\.\d% of that/);
});

Deno.test("a search leaves the weights where whole rows share a scale", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_wide_heads");
  const stats = await chain.calibrate(model);
  const params = { sites: ALL, strategy: "grid", weights: { group: "row" } };
  const ordered = await chain.run(reorder, { model, stats }, params);
  using before = await openCheckpoint(model.path);
  using after = await openCheckpoint(ordered.path);
  for (const name of before.tensors.keys()) {
    assert.deepEqual(await after.read(name), await before.read(name), name);
  }
  assert.match(chain.notes.at(-1)!, /whole rows of weights share a scale/);
});

const CHAINS: readonly (readonly (readonly ["rotate" | "smooth" | "reorder", object])[])[] = [
  [["rotate", {}], ["reorder", { sites: ALL }], ["smooth", { projections: {}, attention: {} }]],
  [["rotate", {}], ["smooth", { projections: { sites: ["down_proj", "out_proj"] } }], [
    "reorder",
    { sites: ALL, index: "transpose", weights: { group: 8 } },
  ]],
  [
    ["smooth", { projections: { sites: ["qkv_proj", "out_proj", "up_proj"] }, attention: {} }],
    ["reorder", { sites: ALL, metric: "weights_abs_mean" }],
    ["smooth", { projections: { sites: ["out_proj", "down_proj"], alpha: 0.7 }, attention: {} }],
    ["rotate", { seed: 3, transforms: ["out_proj", "down_proj"] }],
  ],
];

for (const family of ["qwen2_tied", "llama_linear_biases"]) {
  for (const steps of CHAINS) {
    const words = steps.map(([stage]) => stage).join(", ");
    Deno.test(`${words} leave the logits of ${family} as they are, on one calibration`, async () => {
      await using chain = await StageChain.open();
      let model: Artifact = chain.family(family);
      const before = await chain.logits(model);
      let stats = await chain.calibrate(model);
      for (const [name, params] of steps) {
        const inputs = name === "rotate" ? { model } : { model, stats };
        model = await chain.run({ rotate, smooth, reorder }[name], inputs, params);
        if (name === "rotate") stats = await chain.calibrate(model);
      }
      const error = relativeError(await chain.logits(model), before);
      assert.ok(error < 1e-4, `relative error is ${error}`);
      await assertSameStats(model, stats, await chain.calibrate(model));
    });
  }
}

Deno.test("reorder records itself, and says that rotated channels gain little", async () => {
  await using chain = await StageChain.open();
  const model = await chain.run(rotate, { model: chain.family("llama_wide_heads") });
  const stats = await chain.calibrate(model);
  const ordered = await chain.run(reorder, { model, stats }, { sites: ["residual"] });
  assert.match(chain.notes.at(-1)!, /residual had been rotated/);
  const { history, lineage } = await readModelRecord(ordered.path);
  assert.deepEqual(history.map(({ stage }) => stage), ["rotate", "reorder"]);
  assert.deepEqual(lineage.map(({ from }) => from), [model.digest]);
});

Deno.test("reorder refuses what it cannot do", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_wide_heads");
  const stats = await chain.calibrate(model, { rows: 8 });
  const refused = (model: Artifact, params: object, message: RegExp) =>
    assert.rejects(() => chain.run(reorder, { model, stats }, params), message);
  await refused(chain.family("qwen2_tied"), {}, /Cannot use the stats/);
  await refused(model, { index: "transpose" }, /down_proj\.weight" in groups of 128: it has 72/);
  const turned = await chain.run(rotate, { model }, { transforms: ["down_proj"] });
  await refused(turned, {}, /Cannot reorder down_proj: .* Hadamard transform/);
  const quantized = await chain.run(reorder, { model, stats });
  const record = await readModelRecord(quantized.path);
  const weights = { bits: 4, zero: "post_scale", group: 8, levels: 1 } as const;
  const linears = { [`${LAYER}.mlp.up_proj`]: { weights } };
  await writeModelRecord(quantized.path, { ...record, linears });
  await refused(quantized, {}, /put reorder before quantize/);
});

/** The order of the golden channels by one of the orderings. */
function goldenOrder(ordering: typeof ORDERINGS[number]): Uint32Array<ArrayBuffer> {
  const kind = metricKind(ordering.metric);
  const [inputs, weights] = [INPUTS, WEIGHT].map((matrix) =>
    spanOf(poolSpans(noSpans(16), matrix), kind)
  );
  return channelOrder(metricOf(ordering.metric, inputs!, weights!), ordering, { groups: 2 });
}

function assertAscends(values: Float32Array): void {
  for (let c = 1; c < values.length; c++) {
    // Sums in another order move values by their last bits.
    assert.ok(values[c]! >= values[c - 1]! * (1 - 1e-4), `${values[c - 1]} before ${values[c]}`);
  }
}

/** Asserts that every matrix changed, so that equal logits mean something. */
async function assertChanged(from: Artifact, to: Artifact): Promise<void> {
  using before = await openCheckpoint(from.path);
  using after = await openCheckpoint(to.path);
  for (const [name, { shape }] of before.tensors) {
    if (shape.length < 2) continue;
    assert.notDeepEqual(await after.read(name), await before.read(name), name);
  }
}
