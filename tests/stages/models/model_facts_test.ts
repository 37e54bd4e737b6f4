import { strict as assert } from "node:assert";
import { describeModel } from "../../../stages/models/model_facts.ts";
import { shortScheme } from "../../../stages/models/short_scheme.ts";
import { calibrate_kv } from "../../../stages/calibrate_kv.ts";
import { quantize } from "../../../stages/quantize.ts";
import { StageChain } from "../../support/stage_chain.ts";

Deno.test("`shortScheme()` has bits and groups of what `describeModel()` says", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("qwen2_tied");
  const schemeOf = async ({ path }: { readonly path: string }) => {
    const { scheme } = await describeModel(path);
    return [scheme, shortScheme(scheme)];
  };
  assert.deepEqual(await schemeOf(model), ["W16 A16 KV16", "W16A16KV16"]);
  const stats = await chain.calibrate(model);
  const cases: readonly (readonly [object, string, string])[] = [
    [
      { weights: { group: 8, levels: 2 }, activations: "dynamic" },
      "W4 g8 two-level post-scale A8 per token KV4",
      "W4A8KV4 g8",
    ],
    [
      { weights: { bits: 8, zero: "none", group: "row" }, activations: "static" },
      "W8 per row none A8 static KV4",
      "W8A8KV4",
    ],
    [
      { weights: { bits: 3, group: 8 }, skips: ["down_proj"] },
      "W3 g8 post-scale A16 (mixed) KV4",
      "W3A16KV4 g8 mixed",
    ],
  ];
  for (const [params, long, short] of cases) {
    const codes = await chain.run(quantize, { model, stats }, { method: "rtn", ...params });
    const whole = await chain.run(calibrate_kv, { model: codes, stats }, { bits: 4 });
    assert.deepEqual(await schemeOf(whole), [long, short]);
  }
  assert.equal(shortScheme("something else"), "something else");
});
