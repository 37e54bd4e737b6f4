import { strict as assert } from "node:assert";
import OpenAI from "openai";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { Model } from "../../../stages/models/model.ts";
import { EMBEDDED } from "../../../stages/models/checkpoint_place.ts";
import { hiddenOf } from "../../support/forward_pass.ts";
import { serveModel } from "../../support/model_server.ts";
import { CARD } from "../../support/server_stub.ts";

const TEXTS = ["Once upon a time there was a dog", "The cat sat on the mat. ".repeat(12), "a"];

/** Keys and values are halves in the pages, and single in the plain forward pass. */
const NEAR = 2e-3;

/** The vector of length 1 of some rows of what the head reads. */
function pooled(rows: Float32Array, width: number, from: number): number[] {
  const sum = Array.from({ length: width }, (_, i) => {
    let total = 0;
    for (let at = from * width + i; at < rows.length; at += width) total += rows[at]!;
    return total;
  });
  const length = Math.hypot(...sum);
  return sum.map((value) => value / length);
}

Deno.test("openai-node gets vectors of what the model's head reads, in chunks and in a crowd", async () => {
  // Prompts run in chunks of eight tokens.
  const wishes = { context: 512, sequences: 4, stepTokens: 8, queueRequests: 64 };
  await using served = await serveModel({ wishes });
  const { tokenizer } = served;
  await using device = await Cpu.open();
  using model = await Model.open(EMBEDDED, device, { weightBytes: Infinity });
  const client = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: "none", maxRetries: 0 });
  const ask = async (more: object) =>
    await client.embeddings.create({ model: CARD.name, input: TEXTS, ...more });
  for (const pooling of ["mean", "last"] as const) {
    // The client asks for base64 unless told otherwise, and reads it.
    const { data, usage } = await ask({ pooling });
    assert.equal(usage.prompt_tokens, usage.total_tokens);
    for (const [at, text] of TEXTS.entries()) {
      const ids = tokenizer.encode(text, { special: true });
      const rows = await hiddenOf(device, model, ids);
      const width = rows.length / ids.length;
      const expected = pooled(rows, width, pooling === "mean" ? 0 : ids.length - 1);
      const got = data[at]!.embedding;
      assert.equal(got.length, width);
      assert.ok(Math.abs(Math.hypot(...got) - 1) < 1e-6);
      const error = Math.hypot(...got.map((value, i) => value - expected[i]!));
      assert.ok(error < NEAR, `${pooling} of "${text}" is off by ${error}`);
    }
  }
  const alone = await ask({ input: TEXTS[1], encoding_format: "float" });
  const crowd = await ask({ encoding_format: "float" });
  assert.deepEqual(crowd.data[1]!.embedding, alone.data[0]!.embedding);
  for (
    const [more, param] of [
      [{ dimensions: 8 }, "dimensions"],
      [{ input: "", model: "other" }, "model"],
      [{ input: [[999_999]] }, "input[0]"],
      [{ input: "word ".repeat(2000) }, "input"],
      [{ pooling: "max" }, "pooling"],
    ] as const
  ) {
    await assert.rejects(
      ask(more),
      (error) => error instanceof OpenAI.APIError && error.param?.startsWith(param) === true,
    );
  }
});
