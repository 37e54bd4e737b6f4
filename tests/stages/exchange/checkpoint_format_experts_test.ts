import { strict as assert } from "node:assert";
import { auto_awq } from "../../../stages/exchange/auto_awq/format.ts";
import { compressed_tensors } from "../../../stages/exchange/compressed_tensors/format.ts";
import { gptq } from "../../../stages/exchange/gptq/format.ts";
import { tinychat } from "../../../stages/exchange/tinychat/format.ts";
import type { Format, FormatOptions } from "../../../stages/exchange/format.ts";
import { openSource } from "../../../stages/exchange/subject.ts";
import { exportModel } from "../../../stages/export.ts";
import { quantize } from "../../../stages/quantize.ts";
import { writeShaped } from "../../support/packable_models.ts";
import { StageChain } from "../../support/stage_chain.ts";

const OPTIONS: FormatOptions = { dtype: "float16", shardBytes: 5e9 };

/** What a format says of the quantization of a family's model in 4 bits. */
async function statedFor(
  chain: StageChain,
  family: string,
  { name, zero }: { readonly name: string; readonly zero: "none" | "pre_scale" },
) {
  const model = await writeShaped(family, await chain.directory());
  const weights = { bits: 4, zero, group: 64 } as const;
  const quantized = await chain.run(quantize, { model }, { method: "rtn", weights });
  const { path } = await chain.run(exportModel, { model: quantized, reports: [] }, {
    format: name,
  });
  return JSON.parse(await Deno.readTextFile(`${path}/config.json`)).quantization_config;
}

const ROUTERS = [0, 1].flatMap((layer) =>
  ["gate", "shared_expert_gate"].map((name) => `model.layers.${layer}.mlp.${name}`)
);

Deno.test("exports say that routers stay in full precision", async () => {
  await using chain = await StageChain.open();
  const family = "qwen2_moe_shared";
  const packed = await statedFor(chain, family, { name: "compressed_tensors", zero: "none" });
  assert.deepEqual(packed.ignore, ["lm_head", ...ROUTERS]);
  const awq = await statedFor(chain, family, { name: "auto_awq", zero: "pre_scale" });
  assert.deepEqual(awq.modules_to_not_convert, ROUTERS);
  const { dynamic, modules_in_block_to_quantize: [modules] } = await statedFor(chain, family, {
    name: "gptq",
    zero: "none",
  });
  for (const router of ROUTERS) {
    assert.ok(Object.keys(dynamic).some((rule) => new RegExp(rule.slice(2)).test(router)), router);
  }
  const expert = "mlp.experts.5.down_proj";
  assert.ok(modules.includes(expert));
  assert.ok(!modules.some((name: string) => name.endsWith("gate")));
  for (const rule of Object.keys(dynamic)) {
    assert.ok(!new RegExp(rule.slice(2)).test(`model.layers.0.${expert}`), rule);
  }
});

Deno.test("engines without experts are not given any", async () => {
  await using chain = await StageChain.open();
  const model = await writeShaped("mixtral_window", await chain.directory());
  const weights = { bits: 4, zero: "post_scale", group: 128 } as const;
  const quantized = await chain.run(quantize, { model }, { method: "rtn", weights });
  using source = await openSource(quantized.path);
  const texts = (format: Format) =>
    format.refusals(source.subject, OPTIONS).map(({ text }) => text);
  assert.match(
    texts(tinychat).join("\n"),
    /"model\.layers\.0\.block_sparse_moe\.gate" chooses experts .*, expected one MLP a layer/,
  );
  // Those that have experts refuse nothing because of them.
  for (const format of [auto_awq, compressed_tensors, gptq]) {
    assert.doesNotMatch(texts(format).join("\n"), /expert|router/);
  }
  const limits = compressed_tensors.engines(source.subject, OPTIONS)
    .map(({ engine, limits }) => [engine, limits.some((limit) => /codes of experts/.test(limit))]);
  assert.deepEqual(limits, [["vllm", false], ["transformers", true]]);
});
