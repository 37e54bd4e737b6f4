import { strict as assert } from "node:assert";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import { openSafetensors } from "../../../stages/formats/safetensors/file.ts";
import { architectureOf } from "../../../stages/models/architecture.ts";
import { openCheckpoint } from "../../../stages/models/open_checkpoint.ts";
import { gainsOf } from "../../../stages/models/whole_gains.ts";
import { exportModel } from "../../../stages/export.ts";
import { load } from "../../../stages/load.ts";
import { rotate } from "../../../stages/rotate.ts";
import { relativeError } from "../../support/forward_pass.ts";
import { StageChain } from "../../support/stage_chain.ts";

/** Families whose checkpoints hold w of 1 + w. */
const GEMMAS = ["gemma2_caps_window", "gemma3_linear_capped", "gemma3_window_tied"];

for (const family of GEMMAS) {
  Deno.test(`gains of ${family} are one more than they are stored, once through all stages`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const { path } = chain.family(family);
    const loaded = await chain.run(load, {}, { model: path });
    const again = await chain.run(load, {}, { model: loaded.path });
    const turned = await chain.run(rotate, { model: again });
    using stored = await openSafetensors(`${path}/model.safetensors`);
    for (const artifact of [path, loaded.path, again.path, turned.path]) {
      using opened = await openCheckpoint(artifact);
      const gains = gainsOf(architectureOf(opened.config));
      assert.ok(gains.size > 4);
      for (const name of gains) {
        const whole = (await stored.read(name) as Float32Array).map((value) => 1 + value);
        assert.deepEqual(await opened.read(name), whole, name);
      }
    }
  });

  Deno.test(`an export of ${family} for other programs has gains less one, and does not say so`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const { path } = chain.family(family);
    const loaded = await chain.run(load, {}, { model: path, dtype: "float32" });
    const params = { format: "huggingface", dtype: "float32" };
    const exported = await chain.run(exportModel, { model: loaded, reports: [] }, params);
    const json = JSON.parse(await Deno.readTextFile(`${exported.path}/config.json`));
    assert.ok(!("norm_gain_offset" in json));
    using before = await openSafetensors(`${path}/model.safetensors`);
    using after = await openSafetensors(`${exported.path}/model.safetensors`);
    assert.deepEqual([...after.tensors.keys()].sort(), [...before.tensors.keys()].sort());
    for (const name of before.tensors.keys()) {
      const values = await before.read(name) as Float32Array;
      const got = await after.read(name) as Float32Array;
      // Sum and difference are rounded to single precision each.
      assert.ok(got.every((value, i) => Math.abs(value - values[i]!) <= 2 ** -22), name);
    }
    const back = await chain.run(load, {}, { model: exported.path, dtype: "float32" });
    const error = relativeError(await chain.logits(back), await chain.logits(loaded));
    assert.ok(error < 1e-6, `relative error is ${error}`);
  });
}
