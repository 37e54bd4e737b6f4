// Slow: makes a quantized model and serves it.
import { strict as assert } from "node:assert";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import type { Artifact } from "../../pipeline/artifact.ts";
import { calibrate } from "../../stages/calibrate.ts";
import { calibrate_kv } from "../../stages/calibrate_kv.ts";
import { logLikelihoods } from "../support/log_likelihoods.ts";
import { Model } from "../../stages/models/model.ts";
import { quantize } from "../../stages/quantize.ts";
import { rotate } from "../../stages/rotate.ts";
import { smooth } from "../../stages/smooth.ts";
import { tokenize } from "../../stages/tokenize.ts";
import { serveModel } from "../support/model_server.ts";
import { StageChain } from "../support/stage_chain.ts";

const LENGTH = 300;

/**
 * The evaluator adds up exponentials of logits, and what attention weighs, in another order: sums of
 * 1,024 and 300 numbers as f32, whose last bit is 6e-8.
 */
const NEAR = 1e-5;

/** QoQ of the embedded model in groups of 64, before and with 4 bits of keys and values. */
async function quantized(chain: StageChain): Promise<{ w4a8: Artifact; w4a8kv4: Artifact }> {
  const source = chain.embedded();
  const text = { text: "stories:calibration", bytes: 20_000 };
  const tokens = await chain.run(tokenize, { model: source }, text);
  const rotated = await chain.run(rotate, { model: source }, { transforms: ["out_proj"] });
  const few = { windows: 4, context: 256 };
  const stats = await chain.run(calibrate, { model: rotated, tokens }, few);
  const smoothed = await chain.run(smooth, { model: rotated, stats }, {
    projections: { sites: ["down_proj"], alpha: 0.3, beta: 0.7 },
    attention: { alpha: 0.5, beta: 0 },
  });
  const w4a8 = await chain.run(quantize, { model: smoothed, stats }, {
    method: "gptq",
    weights: { bits: 4, zero: "post_scale", group: 64, levels: 2 },
    uneven_group: "shrink",
    activations: "dynamic",
  });
  const kv = { bits: 4, zero: "post_scale", group: "head" };
  return { w4a8, w4a8kv4: await chain.run(calibrate_kv, { model: w4a8, stats }, kv) };
}

/** Ids of the text that the embedded model is measured on. */
async function testText(chain: StageChain): Promise<number[]> {
  const { path } = await chain.run(tokenize, { model: chain.embedded() }, { text: "stories:test" });
  const all = new Uint32Array((await Deno.readFile(`${path}/tokens.u32`)).buffer);
  return [...all.subarray(0, LENGTH)];
}

/** What the evaluator says of some ids. */
async function evaluated({ path }: Artifact, ids: readonly number[]): Promise<Float32Array> {
  await using device = await Cpu.open();
  using model = await Model.open(path, device, { weightBytes: Infinity });
  const { signal } = new AbortController();
  const walk = { context: ids.length, group: 1, signal, progress() {} };
  const [scores] = await Array.fromAsync(
    logLikelihoods(device, model, Uint32Array.from(ids), walk),
  );
  return scores!;
}

/** A completion's log-probabilities, from the second token on where it has the prompt. */
async function scoresOf(response: Response): Promise<number[]> {
  const json = await response.json();
  assert.equal(response.status, 200, JSON.stringify(json));
  const scores: (number | null)[] = json.choices[0].logprobs.token_logprobs;
  return (scores[0] === null ? scores.slice(1) : scores) as number[];
}

function perplexityOf(scores: Iterable<number>): number {
  const all = [...scores];
  return Math.exp(-all.reduce((sum, value) => sum + value, 0) / all.length);
}

function near(got: readonly number[], expected: Float32Array, what: string): void {
  assert.equal(got.length, expected.length, what);
  got.forEach((value, i) =>
    assert.ok(Math.abs(value - expected[i]!) < NEAR, `${what} ${i}: ${value}, ${expected[i]}`)
  );
}

Deno.test("a served W4A8KV4 model scores a text as the evaluator does, in chunks, token by token and in its answers", async () => {
  await using chain = await StageChain.open();
  const { w4a8, w4a8kv4 } = await quantized(chain);
  const ids = await testText(chain);
  const expected = await evaluated(w4a8kv4, ids);
  // Four bits of keys and values are seen, or a cache in half precision would pass.
  const with16 = await evaluated(w4a8, ids);
  const apart = expected.filter((value, i) => Math.abs(value - with16[i]!) > 100 * NEAR);
  assert.ok(apart.length > LENGTH / 10, `${apart.length} scores differ`);
  const echo = { prompt: ids, max_tokens: 0, echo: true, logprobs: 0 };
  const inChunks = await (async () => {
    const wishes = { context: 400, stepTokens: 64, sequences: 4 };
    await using served = await serveModel({ path: w4a8kv4.path, wishes });
    const scores = await scoresOf(await served.post("/v1/completions", echo));
    near(scores, expected, "in chunks");
    assert.ok(Math.abs(perplexityOf(scores) / perplexityOf(expected) - 1) < NEAR);
    // Tokens of an answer, each from a step with one query, while another answer is under way.
    const asked = { prompt: ids.slice(0, 40), max_tokens: 80, logprobs: 0, seed: 3 };
    const both = await Promise.all([1, 0.5].map((temperature) =>
      served.post("/v1/completions", {
        ...asked,
        temperature,
        ignore_eos: true,
        return_tokens_as_token_ids: true,
      })
    ));
    for (const response of both) {
      const { choices: [choice] } = await response.clone().json();
      const answer = choice.logprobs.tokens.map((name: string) => Number(name.split(":")[1]));
      const whole = await evaluated(w4a8kv4, [...asked.prompt, ...answer]);
      near(await scoresOf(response), whole.subarray(asked.prompt.length - 1), "in its answer");
    }
    return scores;
  })();
  const wishes = { context: 400, stepTokens: 1, sequences: 1 };
  await using served = await serveModel({ path: w4a8kv4.path, wishes });
  const before = served.engine.stats().steps;
  const oneByOne = await scoresOf(await served.post("/v1/completions", echo));
  assert.equal(served.engine.stats().steps - before, LENGTH);
  assert.deepEqual(oneByOne, inChunks);
});
