import { strict as assert } from "node:assert";
import { canonicalJson } from "../../pipeline/store/key.ts";
import type { Artifact } from "../../pipeline/artifact.ts";
import { evaluate } from "../../stages/evaluate.ts";
import { bytesOf } from "../../stages/formats/half.ts";
import { readEvaluation } from "../../stages/report/evaluation.ts";
import { GOLDEN } from "../support/golden_text.ts";
import { StageChain } from "../support/stage_chain.ts";

import golden from "../testdata/first_token.json" with { type: "json" };

async function tokensOf(chain: StageChain, ids: readonly number[]): Promise<Artifact<"tokens">> {
  const path = await chain.directory();
  await Deno.writeFile(`${path}/tokens.u32`, bytesOf(Uint32Array.from(ids)));
  return { kind: "tokens", key: path, digest: path, path, scores: {} };
}

Deno.test("the first token before windows or the text gives the scores of PyTorch", async () => {
  await using chain = await StageChain.open();
  const [model, tokens] = [chain.embedded(), await tokensOf(chain, GOLDEN.ids)];
  for (const { params, windowMeans } of golden) {
    const { path } = await chain.run(evaluate, { model, tokens }, params);
    const report = await readEvaluation(path);
    assert.equal(report.windowMeans.length, windowMeans.length);
    report.windowMeans.forEach((mean, i) =>
      assert.ok(
        Math.abs(mean - windowMeans[i]!) < 1e-3,
        `${JSON.stringify(params)}: ${mean}, ${windowMeans[i]}`,
      )
    );
  }
});

Deno.test("a model without a first token has none put before its texts", async () => {
  await using chain = await StageChain.open();
  const tokens = await chain.tokens(64);
  const model = await chain.edited(chain.family("llama_wide_heads"), () => {});
  const config = JSON.parse(await Deno.readTextFile(`${model.path}/config.json`));
  await Deno.writeTextFile(
    `${model.path}/config.json`,
    JSON.stringify({ ...config, bos_token_id: null }),
  );
  await chain.refuses(evaluate, {
    inputs: { model, tokens },
    params: { context: 16, windows: 1, bos: "window" },
    message:
      /first token before a text: the model's is not said by tokenizer_config.json or config.json/,
  });
});

Deno.test("parameters that say what is so anyway leave the key as it was", () => {
  const key = (params: object) => canonicalJson(evaluate.params.parse(params));
  const usual = key({ context: 64, windows: 2 });
  assert.equal(usual, '{"context":64,"keep_hidden":false,"windows":2}');
  assert.equal(key({ context: 64, windows: 2, bos: "none" }), usual);
  assert.equal(key({ context: 64, windows: { first: 0, count: 2 } }), usual);
  assert.notEqual(key({ context: 64, windows: { first: 1, count: 2 } }), usual);
  assert.notEqual(key({ context: 64, windows: 2, bos: "text" }), usual);
});
