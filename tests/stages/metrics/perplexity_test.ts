import { strict as assert } from "node:assert";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { perplexity } from "../../../stages/metrics/perplexity.ts";
import { logLikelihoods } from "../../support/log_likelihoods.ts";
import { EMBEDDED } from "../../../stages/models/checkpoint_place.ts";
import { Model } from "../../../stages/models/model.ts";
import { GOLDEN } from "../../support/golden_text.ts";

for (const weightBytes of [Infinity, 0]) {
  const how = weightBytes === 0 ? "a layer at a time" : "with all weights on the device";
  Deno.test(`logLikelihoods() agrees with PyTorch ${how}`, async () => {
    await using device = await Cpu.open();
    using model = await Model.open(EMBEDDED, device, { weightBytes });
    const scores: number[] = [];
    const walk = {
      context: GOLDEN.ids.length,
      group: 2,
      signal: new AbortController().signal,
      progress: () => {},
    };
    for await (const window of logLikelihoods(device, model, Uint32Array.from(GOLDEN.ids), walk)) {
      scores.push(...window);
    }
    assert.equal(scores.length, GOLDEN.logLikelihoods.length);
    scores.forEach((score, i) => assert.ok(Math.abs(score - GOLDEN.logLikelihoods[i]!) < 1e-3));
  });
}

Deno.test("logLikelihoods() stops when its signal aborts, and leaves no tensor behind", async () => {
  const stop = new AbortController();
  await using device = await Cpu.open();
  using model = await Model.open(EMBEDDED, device, { weightBytes: Infinity });
  const progress = (done: number) => done === 2 && stop.abort(new Error("enough"));
  const walk = { context: 64, group: 1, signal: stop.signal, progress };
  const ids = Uint32Array.from(GOLDEN.ids);
  await assert.rejects(async () => {
    for await (const _ of logLikelihoods(device, model, ids, walk));
  }, /enough/);
});

Deno.test("perplexity() is the exponential of the mean of window means", () => {
  const halves = [Math.log(1 / 2), Math.log(1 / 2)];
  const eighths = [Math.log(1 / 8)];
  const { perplexity: value, windowMeans } = perplexity([
    Float32Array.from(halves),
    Float32Array.from(eighths),
  ]);
  assert.ok(Math.abs(value - 4) < 1e-6, `${value}`);
  assert.equal(windowMeans.length, 2);
});
