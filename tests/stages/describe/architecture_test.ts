import { strict as assert } from "node:assert";
import { architectureSection, layerRanges } from "../../../stages/describe/architecture.ts";
import { architectureOf } from "../../../stages/models/architecture.ts";
import { StageChain } from "../../support/stage_chain.ts";

Deno.test("experts are told with how many a token goes to, and in which layers they are", async () => {
  await using chain = await StageChain.open();
  const facts = async (family: string) => {
    const { path } = chain.family(family);
    const architecture = architectureOf(JSON.parse(await Deno.readTextFile(`${path}/config.json`)));
    return new Map(architectureSection(architecture).facts);
  };
  const some = await facts("qwen2_moe_sparse_steps");
  assert.equal(some.get("experts"), "4 of inner size 16, 3 for a token");
  assert.equal(some.get("shared expert"), "inner size 32");
  assert.equal(some.get("experts in layers"), "1");
  assert.equal((await facts("mixtral_window")).has("experts in layers"), false);
  assert.equal((await facts("qwen2_tied")).has("experts"), false);
});

Deno.test("layers that have many linears of a kind are told once", () => {
  assert.equal(layerRanges([3, 0, 0, 1, 1, 5, 3]), "0-1, 3, 5");
});
