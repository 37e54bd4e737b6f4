import { strict as assert } from "node:assert";
import { z } from "zod";
import type { Artifact } from "../../../pipeline/artifact.ts";
import { type ChannelChoice, searchLayers } from "../../../stages/channels/search_layers.ts";
import { defineStage } from "../../../stages/kinds.ts";
import { smooth } from "../../../stages/smooth.ts";
import { readModelRecord } from "../../../stages/models/model_record.ts";
import { relativeError } from "../../support/forward_pass.ts";
import { assertSameStats } from "../../support/lineage_check.ts";
import { StageChain } from "../../support/stage_chain.ts";

/** A third method, as its author would write it: halves the inputs of every down_proj. */
const halve = defineStage({
  about: "Halves the inputs of down_proj.",
  version: 1,
  params: z.strictObject({}),
  inputs: { model: "model", stats: "stats" },
  output: "model",
  example: {},
  async run(job, inputs, params) {
    await searchLayers<ChannelChoice>(job, inputs, {
      stage: "halve",
      params,
      places: ["down_proj"],
      inputs: ["down_proj"],
      tried: 0,
      find(work, layer) {
        const site = layer.site("mlp.out");
        const scale = new Float32Array(site.channels).fill(2);
        for (const { weight } of site.linears) work.scaleInputs(weight, scale);
        work.scaleOutputs(site.fedBy, scale.map((factor) => 1 / factor));
        work.change(site.name, { scale });
        return Promise.resolve([{ place: site.projection }]);
      },
      words: (place, choices) => `${place}: halved in ${choices.length} layers`,
    });
  },
});

Deno.test("a method of channels is what it finds in a layer: model, lineage and choices follow", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("qwen2_tied");
  const stats = await chain.calibrate(model);
  const halved = await chain.run(halve, { model, stats }) as Artifact<"model">;
  const error = relativeError(await chain.logits(halved), await chain.logits(model));
  assert.ok(error < 1e-5, `logits differ by ${error}`);
  await assertSameStats(halved, stats, await chain.calibrate(halved));
  const { history, lineage } = await readModelRecord(halved.path);
  assert.deepEqual(history, [{ stage: "halve", params: {} }]);
  assert.deepEqual(lineage, [{ from: model.digest, file: "channels-0.safetensors" }]);
  const { choices } = JSON.parse(await Deno.readTextFile(`${halved.path}/halve.json`));
  assert.deepEqual(choices, [{ place: "down_proj" }, { place: "down_proj" }]);
  assert.ok(chain.notes.includes("down_proj: halved in 2 layers"), chain.notes.join("\n"));
});

Deno.test("progress counts what searching a layer takes, not layers and tensors alike", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("qwen2_tied");
  const stats = await chain.calibrate(model);
  /** The share that is done when the first of two layers is. */
  const halfway = async (params: object) => {
    const shares: number[] = [];
    await chain.run(smooth, { model, stats }, params, {
      progress: (done, total) => void shares.push(done / total),
    });
    assert.ok(shares.every((share, i) => i === 0 || share > shares[i - 1]!), `${shares}`);
    assert.equal(shares.at(-1), 1);
    return shares[0]!;
  };
  const grid = { strategy: "grid", grids: 20 };
  assert.ok(await halfway({ attention: {} }) < 0.05, "tensors are most of the work");
  assert.ok(await halfway({ attention: { ...grid, kv: { group: 8 } } }) > 0.4);
  assert.ok(await halfway({ projections: { ...grid, weights: { group: 8 } } }) > 0.45);
});
