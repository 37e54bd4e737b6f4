import { strict as assert } from "node:assert";
import { llamaCppScores } from "../../../stages/metrics/llama_cpp.ts";

Deno.test("second halves of windows are scored as llama.cpp does", () => {
  // Five tokens are scored of a window of six, of which llama.cpp takes those behind its third.
  const windows = Array.from({ length: 6 }, (_, i) => ({
    kl: Float32Array.of(9, 9, 9, (3 * i + 1) / 16, i * i / 32),
    logLikelihoods: Float32Array.of(-9, -9, -9, -(i + 1) / 4, -(7 - i) / 8),
    agrees: Uint8Array.of(0, 0, 0, Number(i % 3 !== 0), 1),
  }));
  const { protocol, tokens, ...scores } = llamaCppScores(windows);
  assert.match(protocol, /llama\.cpp.*second halves/);
  assert.equal(tokens, 12);
  // By numpy 2: mean, std / sqrt(n - 1), percentile(99) and sqrt(p (1 - p) / (n - 1)) of the same values.
  const expected = {
    perplexity: 2.0518667734879767,
    perplexityError: 0.23011062692378953,
    kl: 0.4088541666666667,
    klError: 0.0976507258538581,
    kl99: 0.9793750000000001,
    top1: 0.8333333333333334,
    top1Error: 0.11236664374387367,
  };
  assert.deepEqual(Object.keys(scores), Object.keys(expected));
  for (const [name, value] of Object.entries(expected)) {
    const got = scores[name as keyof typeof scores];
    assert.ok(Math.abs(got - value) < 1e-12, `${name}: ${got}, expected ${value}`);
  }
});

Deno.test("ten tokens or fewer have no error, as in llama.cpp", () => {
  const window = {
    kl: Float32Array.of(1, 2, 3),
    logLikelihoods: Float32Array.of(-1, -2, -3),
    agrees: Uint8Array.of(1, 1, 0),
  };
  const { klError, perplexityError, kl, tokens } = llamaCppScores([window]);
  assert.deepEqual([tokens, kl, klError, perplexityError], [1, 3, 0, 0]);
});
