import { strict as assert } from "node:assert";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import type { AnyStage } from "../../pipeline/stage.ts";
import { calibrate } from "../../stages/calibrate.ts";
import { openStats } from "../../stages/calibration/stats.ts";
import { factsOf } from "../../stages/facts.ts";
import { architectureOf, openModel } from "../../stages/models/architecture.ts";
import { readModelRecord } from "../../stages/models/model_record.ts";
import { expertTap } from "../../stages/models/site.ts";
import { quantize } from "../../stages/quantize.ts";
import { StageChain } from "../support/stage_chain.ts";

const FEW = { windows: 2, context: 32 };
const FORM = { weights: { group: 8 } };

Deno.test("what quantized layers give experts is counted as calibration counts it", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("qwen3_moe_normalized");
  const tokens = await chain.tokens(64);
  const stats = await chain.run(calibrate, { model, tokens }, FEW);
  const given = { ...FORM, ...FEW, inputs: "quantized" };
  const quantized = await chain.run(quantize, { model, tokens }, given);
  const { measured: { linears } } = await readModelRecord(quantized.path);
  using files = await openModel(model.path);
  using opened = await openStats(stats, model);
  const { layers } = files.architecture;
  const [input] = layers[0]!.sites.filter(({ role }) => role === "mlp.in");
  for (const { name, expert } of input!.linears) {
    // Attention of the first layer is in codes already, which moves few tokens elsewhere.
    const expected = await opened.tokens(0, expertTap(input!.name, expert!));
    assert.ok(Math.abs(linears[name]!.tokens! - expected) <= 4, `${name}: ${expected}`);
  }
  const all = input!.linears.filter(({ role }) => role === "up");
  const total = all.reduce((sum, { name }) => sum + linears[name]!.tokens!, 0);
  assert.equal(total, 64 * 2);
});

Deno.test("experts that saw too few tokens are told in a sentence each way, however many they are", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("qwen3_moe_normalized");
  const stats = await chain.calibrate(model, { gram: true, windows: 1, context: 16 });
  await chain.run(quantize, { model, stats }, FORM);
  const told = chain.notes.filter((note) => note.includes("too few"));
  assert.equal(told.length, 2, told.join("\n"));
  assert.match(
    told[0]!,
    /down_proj" and \d+ more linears of experts was rounded to nearest: it saw \d+ tokens/,
  );
  assert.match(
    told[1]!,
    /gate_proj" and \d+ more .* took the statistics of all tokens of its layer/,
  );
});

for (const family of ["mixtral_window", "qwen2_moe_shared"]) {
  Deno.test(`calibrate and quantize hold the device memory that was counted for ${family}`, async () => {
    const device = await Cpu.open({ threads: 1 });
    await using chain = await StageChain.open(device);
    const model = chain.family(family);
    const tokens = await chain.tokens(64);
    const { limits } = device;
    const counted = async (stage: AnyStage, facts: object, params: object) => {
      const parsed = stage.params.parse(params);
      const { deviceBytes } = await stage.forecast!(facts, parsed, {
        memoryBytes: 2 ** 28,
        limits,
      });
      return deviceBytes;
    };
    const facts = {
      model: await factsOf({ kind: "model", path: model.path }),
      tokens: { count: 64 },
    };
    const before = await counted(calibrate, facts, FEW);
    const stats = await chain.run(calibrate, { model, tokens }, FEW);
    assert.equal(device.memory.peak, before);
    // A device that has held nothing yet.
    const fresh = await Cpu.open({ threads: 1 });
    await using other = await StageChain.open(fresh);
    const taken = await factsOf({ kind: "stats", path: stats.path });
    const after = await counted(quantize, { model: facts.model, stats: taken }, FORM);
    await other.run(quantize, { model, stats }, FORM);
    assert.equal(fresh.memory.peak, after);
  });
}

Deno.test("linears of a thousand experts are laid out at once", () => {
  const json = {
    architectures: ["Qwen3MoeForCausalLM"],
    hidden_size: 64,
    intermediate_size: 64,
    moe_intermediate_size: 32,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_experts: 1024,
    num_experts_per_tok: 8,
    vocab_size: 96,
  };
  const { linears } = architectureOf(json);
  assert.equal(linears.length, 4 * (4 + 3 * 1024));
});
