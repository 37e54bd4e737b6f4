import { strict as assert } from "node:assert";
import { embeddedTokenizer, serveFake } from "../../support/server_stub.ts";

Deno.test("prompts whose tokens the model has no row for are refused, as ids and as text", async () => {
  const tokenizer = await embeddedTokenizer();
  const text = "The cat sat on the mat.";
  const ids = tokenizer.encode(text);
  const largest = Math.max(...ids);
  await using served = await serveFake({ tokenizer: { ...tokenizer, usable: largest } });
  const bodies = [
    ["/v1/completions", { prompt: ids }],
    ["/v1/completions", { prompt: text }],
    ["/v1/completions", { prompt: ["on", text] }],
    ["/v1/chat/completions", { messages: [{ role: "user", content: text }] }],
  ] as const;
  for (const [path, body] of bodies) {
    const response = await served.post(path, { ...body, max_tokens: 2 });
    assert.equal(response.status, 400, path);
    const { error } = await response.json();
    assert.match(
      error.message,
      new RegExp(
        `^Cannot answer the prompt: its token \\d+ has no row in the model's embedding table, ` +
          `expected ids below ${largest}$`,
      ),
    );
    assert.equal(error.param, "prompt");
  }
  const biased = { prompt: "on", logit_bias: { [largest]: 1 }, max_tokens: 2 };
  assert.equal((await served.post("/v1/completions", biased)).status, 400);
  const fine = await served.post("/v1/completions", { prompt: [largest - 1], max_tokens: 2 });
  assert.equal(fine.status, 200);
  await fine.body?.cancel();
});
