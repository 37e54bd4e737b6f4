import { strict as assert } from "node:assert";
import type { Artifact } from "../../pipeline/artifact.ts";
import { calibrate_kv } from "../../stages/calibrate_kv.ts";
import { openStats } from "../../stages/calibration/stats.ts";
import { fold } from "../../stages/fold.ts";
import { architectureOf } from "../../stages/models/architecture.ts";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import { readModelRecord } from "../../stages/models/model_record.ts";
import { quantize } from "../../stages/quantize.ts";
import { reorder } from "../../stages/reorder.ts";
import { relativeError } from "../support/forward_pass.ts";
import { assertSameStats } from "../support/lineage_check.ts";
import { FAMILIES, smoothable, StageChain } from "../support/stage_chain.ts";

const FIRST_NORM = "model.layers.0.input_layernorm.weight";

for (const family of FAMILIES) {
  if ((await smoothable(family)).length < 4) {
    Deno.test(`fold refuses ${family}, whose layers read the residual stream as it is`, async () => {
      await using chain = await StageChain.open();
      await chain.refuses(fold, {
        inputs: { model: chain.family(family) },
        message: /"model\.embed_tokens\.weight" feeds layers\.0\.attention\.in, expected a norm; /,
      });
    });
    continue;
  }

  Deno.test(`fold leaves the logits of ${family} as they are, its gains at 1 and its head untied`, async () => {
    await using chain = await StageChain.open();
    const model = chain.family(family);
    const folded = await chain.run(fold, { model });
    const error = relativeError(await chain.logits(folded), await chain.logits(model));
    assert.ok(error < 1e-5, `relative error is ${error}`);
    using before = await openCheckpoint(model.path);
    using after = await openCheckpoint(folded.path);
    assert.equal((after.config as { tie_word_embeddings: boolean }).tie_word_embeddings, false);
    // Those of queries and keys stand behind linears, and so do some of Gemma.
    const norms = [...after.tensors.keys()]
      .filter((name) => /layernorm\.weight|model\.norm\.weight/.test(name))
      .filter((name) => !/[qk]_layernorm/.test(name));
    const { config, sites } = architectureOf(after.config);
    const folding = new Set(
      sites.flatMap(({ residual, fedBy }) => residual === "read" ? [fedBy.weight] : []),
    );
    assert.equal(folding.size, (config.parallel ? 1 : 2) * config.layers + 1);
    for (const name of norms) {
      const gains = await before.read(name);
      assert.ok(gains.some((gain) => gain !== 1), `${name} was 1 before`);
      const now = folding.has(name) ? gains.map(() => 1) : gains;
      assert.deepEqual(await after.read(name), now, name);
    }
  });

  Deno.test(`stats of ${family} taken before fold are those of the folded model`, async () => {
    await using chain = await StageChain.open();
    const model = chain.family(family);
    const earlier = await chain.calibrate(model);
    const reordered = await chain.run(reorder, { model, stats: earlier }, { sites: ["residual"] });
    const folded = await chain.run(fold, { model: reordered });
    await assertSameStats(folded, earlier, await chain.calibrate(folded));
  });
}

Deno.test("fold multiplies each column of what a norm feeds by its gain, and nothing else", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("qwen2_untied");
  const folded = await chain.run(fold, { model });
  using before = await openCheckpoint(model.path);
  using after = await openCheckpoint(folded.path);
  const gain = await before.read("model.layers.1.post_attention_layernorm.weight");
  for (const name of ["gate", "up"]) {
    const old = await before.read(`model.layers.1.mlp.${name}_proj.weight`);
    const expected = old.map((value, i) => Math.fround(value * gain[i % gain.length]!));
    assert.deepEqual(await after.read(`model.layers.1.mlp.${name}_proj.weight`), expected, name);
  }
  for (const name of ["self_attn.o_proj.weight", "mlp.down_proj.weight", "self_attn.q_proj.bias"]) {
    const whole = `model.layers.1.${name}`;
    assert.deepEqual(await after.read(whole), await before.read(whole), name);
  }
  const { history } = await readModelRecord(folded.path);
  assert.deepEqual(history.at(-1), { stage: "fold", params: {} });
});

Deno.test("fold ends the lineage where a gain of 0 hid a channel, and says so", async () => {
  await using chain = await StageChain.open();
  const model = await chain.edited(chain.family("llama_wide_heads"), (name, values) => {
    if (name === FIRST_NORM) values[3] = 0;
  });
  const stats = await chain.calibrate(model);
  const folded = await chain.run(fold, { model });
  const error = relativeError(await chain.logits(folded), await chain.logits(model));
  assert.ok(error < 1e-5, `relative error is ${error}`);
  assert.match(chain.notes.join("\n"), /a gain of 0 before layers\.0\.attention\.in/);
  await assert.rejects(() => openStats(stats, folded), /none of its earlier forms/);
});

Deno.test("fold refuses a model whose weights or KV cache are quantized", async () => {
  await using chain = await StageChain.open();
  const plain = chain.family("llama_wide_heads");
  const stats = await chain.calibrate(plain);
  const refused: readonly [Artifact, RegExp][] = [
    [
      await chain.run(quantize, { model: plain }, { method: "rtn", weights: { group: 8 } }),
      /Cannot fold the model: its "model.* is quantized already.*put fold before quantize/,
    ],
    [
      await chain.run(calibrate_kv, { model: plain, stats }),
      /Cannot fold the model: its KV cache is quantized already/,
    ],
  ];
  for (const [model, message] of refused) {
    assert.deepEqual(await chain.refuses(fold, { inputs: { model }, message }), []);
  }
});
