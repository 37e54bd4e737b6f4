import { strict as assert } from "node:assert";
import type { FormatOptions } from "../../../../stages/exchange/format.ts";
import { gguf } from "../../../../stages/exchange/gguf/format.ts";
import { planTensors } from "../../../../stages/exchange/gguf/plan.ts";
import { openSource, subjectOf } from "../../../../stages/exchange/subject.ts";
import { transformersName } from "../../../../stages/formats/gguf/names.ts";
import { mixtral } from "../../../../stages/models/families/mixtral.ts";
import { StageChain } from "../../../support/stage_chain.ts";

const OPTIONS: FormatOptions = { dtype: "float16", shardBytes: 5e9 };

Deno.test("a GGUF file has a tensor of three axes for each role of experts, and routers in single precision", async () => {
  await using chain = await StageChain.open();
  using source = await openSource(chain.family("qwen2_moe_shared").path);
  const plans = planTensors(source.subject, OPTIONS)
    .filter(({ name }) => /^blk\.1\.ffn_(gate|up|down)/.test(name))
    .map(({ name, shape, type }) => [name.slice(10, -7), shape, type]);
  assert.deepEqual(Object.fromEntries(plans.map(([name, ...rest]) => [name, rest])), {
    gate_inp: [[6, 64], "F32"],
    gate_inp_shexp: [[1, 64], "F32"],
    gate_shexp: [[40, 64], "F16"],
    up_shexp: [[40, 64], "F16"],
    down_shexp: [[64, 40], "F16"],
    gate_exps: [[6, 24, 64], "F16"],
    up_exps: [[6, 24, 64], "F16"],
    down_exps: [[6, 64, 24], "F16"],
  });
});

Deno.test("experts one by one, as files of 2023 hold them, have their names", () => {
  const name = (ours: string) => transformersName(ours, mixtral.gguf!);
  assert.equal(
    name("blk.3.ffn_down.7.weight"),
    "model.layers.3.block_sparse_moe.experts.7.w2.weight",
  );
  assert.equal(name("blk.3.ffn_gate_inp.weight"), "model.layers.3.block_sparse_moe.gate.weight");
});

Deno.test("experts that llama.cpp would run otherwise are refused", async () => {
  await using chain = await StageChain.open();
  const refusals = async (family: string, change: object = {}) => {
    using source = await openSource(chain.family(family).path);
    const { json: config, record } = source.subject;
    const subject = subjectOf({ config: { ...config, ...change }, record });
    return gguf.refusals(subject, OPTIONS).map(({ text }) => text).join("\n");
  };
  const other = await refusals("qwen2_moe_sparse_steps");
  assert.match(other, /layer 0 has an MLP, expected experts in every layer of a qwen2moe/);
  assert.match(other, /experts add up to 1, expected them as they are in a qwen2moe/);
  assert.match(other, /queries, keys and values have no biases, expected them in a qwen2moe/);
  assert.match(
    await refusals("qwen3_moe_normalized", { norm_topk_prob: false }),
    /experts do not add up to 1, expected that they do in a qwen3moe of llama.cpp/,
  );
  assert.equal(await refusals("mixtral_three_of_six"), "");
});
