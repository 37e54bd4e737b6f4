import { strict as assert } from "node:assert";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import { calibrate_kv } from "../../../stages/calibrate_kv.ts";
import { Model } from "../../../stages/models/model.ts";
import { readModelRecord } from "../../../stages/models/model_record.ts";
import { quantize } from "../../../stages/quantize.ts";
import { rotate } from "../../../stages/rotate.ts";
import { smooth } from "../../../stages/smooth.ts";
import { writeFilled } from "../../support/filled_llama.ts";
import { logitsOf, relativeError } from "../../support/forward_pass.ts";
import { StageChain } from "../../support/stage_chain.ts";

const IDS = [1, 5, 17, 80, 33, 2, 64, 91, 9, 41, 12, 70, 3];

for (const size of [20, 80, 96, 100, 256]) {
  Deno.test(`QoQ's stages take heads of ${size}, and codes of keys and values cost what 4 bits cost`, async () => {
    await using chain = await StageChain.open();
    const path = await chain.directory();
    await writeFilled(path, {
      architectures: ["LlamaForCausalLM"],
      hidden_size: 64,
      intermediate_size: 64,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 1,
      head_dim: size,
      vocab_size: 96,
    });
    const source = { kind: "model", key: path, digest: path, path, scores: {} } as const;
    const rotated = await chain.run(rotate, { model: source });
    const stats = await chain.calibrate(rotated, { gram: true });
    const smoothed = await chain.run(smooth, { model: rotated, stats }, {
      projections: { sites: ["down_proj"], alpha: 0.3, beta: 0.7 },
      attention: { strategy: "grid", alpha: 0.5, beta: 0, grids: 3 },
    });
    // Neither changes what the model computes, but for half precision.
    const before = await chain.logits(source);
    assert.ok(relativeError(await chain.logits(smoothed), before) < 1e-2);
    const codes = await chain.run(quantize, { model: smoothed, stats }, {
      weights: { bits: 4, zero: "post_scale", group: 16, levels: 2 },
      uneven_group: "shrink",
      activations: "dynamic",
    });
    const cached = await chain.run(calibrate_kv, { model: codes, stats });
    const { kv, measured } = await readModelRecord(cached.path);
    assert.ok(kv.every(({ key, value }) => key.group === size && value.group === size));
    // Uniform rounding to 15 steps leaves some hundredths of a vector's square at most.
    assert.ok(measured.kv.every((error) => error > 0 && error < 0.08), measured.kv.join());
    const on = async (device: Cpu | ReferenceDevice) => {
      await using _device = device;
      using model = await Model.open(cached.path, device, { weightBytes: Infinity });
      return await logitsOf(device, model, IDS);
    };
    const error = relativeError(await on(await Cpu.open()), await on(new ReferenceDevice()));
    assert.ok(error < 2e-2, `relative error is ${error}`);
  });
}
