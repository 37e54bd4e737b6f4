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

Deno.test("what a server says of sampling holds where a request says nothing", async () => {
  const told = { temperature: 0.25, topP: 0.5, topK: 7, minP: 0.125, repetitionPenalty: 1.5 };
  const options = { ...told, stopTokenIds: [5], stop: ["done"] };
  await using served = await serveFake({ options });
  const ask = async (more: object) => {
    const body = { prompt: "The cat", max_tokens: 2, ...more };
    await (await served.post("/v1/completions", body)).body?.cancel();
    return served.engine.asked.at(-1)!;
  };
  const { sampling, stopTokens } = await ask({ top_k: null });
  const { temperature, topP, topK, minP, repetitionPenalty } = sampling;
  assert.deepEqual({ temperature, topP, topK, minP, repetitionPenalty }, told);
  assert.ok(stopTokens.includes(5));
  const own = await ask({ temperature: 1, top_p: 1, top_k: 0, min_p: 0, repetition_penalty: 1 });
  assert.deepEqual([own.sampling.temperature, own.sampling.topP], [1, 1]);
  assert.deepEqual([own.sampling.topK, own.sampling.minP], [0, 0]);
  assert.equal(own.sampling.repetitionPenalty, 1);
  await using spoken = await serveFake({ options, says: " well done it" });
  const response = await spoken.post("/v1/completions", { prompt: "A", max_tokens: 9 });
  const { choices: [choice] } = await response.json();
  assert.deepEqual([choice.text, choice.finish_reason], [" well ", "stop"]);
});
