import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import type { Device } from "../../../kernels/device/device.ts";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { sample } from "../../../kernels/mod.ts";
import { sampleSettings } from "../../../kernels/sample.ts";
import {
  type GenerationEvent,
  type GenerationRequest,
  GREEDY,
  type Sampling,
} from "../../../stages/engine/engine.ts";
import { EngineLoop } from "../../../stages/engine/engine_loop.ts";
import type { EngineSizes } from "../../../stages/engine/engine_sizes.ts";
import { logLikelihoods } from "../../support/log_likelihoods.ts";
import { Model } from "../../../stages/models/model.ts";
import { calibrate_kv } from "../../../stages/calibrate_kv.ts";
import { quantize } from "../../../stages/quantize.ts";
import { logitsOf } from "../../support/forward_pass.ts";
import { StageChain } from "../../support/stage_chain.ts";

const EMBEDDED = fileURLToPath(new URL("../../../configs/embedded", import.meta.url));
const SIZES: EngineSizes = {
  pages: 24,
  context: 400,
  step: { tokens: 100, sequences: 4 },
  queue: { requests: 100, tokens: 100_000 },
};

/** A text the model could have written: its own greedy words behind a few ids. */
async function story(device: Device, model: Model, length: number): Promise<number[]> {
  using loop = new EngineLoop(device, model, SIZES);
  const events = await run(loop, { ...asking([1, 5, 17]), maxTokens: length - 3 });
  return [1, 5, 17, ...tokensOf(events)];
}

function asking(prompt: readonly number[], sampling: Partial<Sampling> = {}): GenerationRequest {
  return { prompt, maxTokens: 16, stopTokens: [], sampling: { ...GREEDY, ...sampling } };
}

async function run(loop: EngineLoop, request: GenerationRequest): Promise<GenerationEvent[]> {
  const events: GenerationEvent[] = [];
  loop.add(1, request);
  while (!loop.idle) events.push(...(await loop.step()).map(([, event]) => event));
  return events;
}

function tokensOf(events: readonly GenerationEvent[]): number[] {
  return events.flatMap((event) => event.type === "token" ? [event.token] : []);
}

function scoresOf(events: readonly GenerationEvent[]): number[] {
  const [prompt] = events;
  assert.equal(prompt?.type, "prompt");
  return (prompt as Extract<GenerationEvent, { readonly type: "prompt" }>).scores!
    .map(({ logprob }) => logprob!);
}

for (
  const { activations, head, weights = { bits: 4, group: "row" }, ...cache } of [
    { activations: "dynamic" },
    {
      activations: { bits: 4, clip: 0.9 },
      head: "w8a8",
      rotate_keys: true,
      center_keys: true,
      fit_ranges: true,
      compensate_keys: true,
    },
    { activations: "dynamic", head: "w8a16", rotate_keys: true, sinks: 4 },
    {
      activations: { bits: 4, clip: 0.9, group: 128 },
      weights: { bits: 4, zero: "none", group: 128, full: true, outlier_bits: 8 },
      zero: "pre_scale",
      before_rope: true,
      sinks: 1,
    },
  ]
) {
  Deno.test(`scores of a prompt are those of the evaluator, whole, in chunks, and generated one by one: ${JSON.stringify({ activations, head, ...cache })}`, async () => {
    await using chain = await StageChain.open();
    const plain = chain.embedded();
    const stats = await chain.calibrate(plain);
    const w4 = await chain.run(quantize, { model: plain }, {
      method: "rtn",
      weights,
      activations,
      head,
    });
    const { path } = await chain.run(calibrate_kv, { model: w4, stats }, { bits: 4, ...cache });
    await using device = await Cpu.open();
    using model = await Model.open(path, device, { weightBytes: Infinity });
    const ids = await story(device, model, 150);
    const walk = { context: 150, group: 1, signal: new AbortController().signal, progress() {} };
    const [expected] = await Array.fromAsync(
      logLikelihoods(device, model, Uint32Array.from(ids), walk),
    );
    const near = (got: readonly number[], what: string) => {
      assert.equal(got.length, expected!.length, what);
      got.forEach((value, i) =>
        assert.ok(Math.abs(value - expected![i]!) < 2e-5, `${what} ${i}: ${value}, ${expected![i]}`)
      );
    };
    for (const tokens of [1000, 64, 37]) {
      using loop = new EngineLoop(device, model, { ...SIZES, step: { tokens, sequences: 4 } });
      const request = { ...asking(ids), maxTokens: 0, promptLogprobs: 0 };
      near(scoresOf(await run(loop, request)), `in chunks of ${tokens}`);
    }
    // A bias that no logit can resist makes it say the same text, token by token.
    const one: number[] = [];
    for (const [i, token] of ids.slice(1).entries()) {
      using loop = new EngineLoop(device, model, SIZES);
      if (i >= 12 && i < ids.length - 12) {
        one.push(expected![i]!);
        continue;
      }
      const request = {
        ...asking(ids.slice(0, i + 1), { logitBias: [[token, 1e4]] }),
        maxTokens: 1,
      };
      const [, event] = await run(loop, { ...request, logprobs: 0 });
      assert.ok(event?.type === "token" && event.token === token);
      one.push(event.logprob!);
    }
    near(one, "one by one");
  });
}

Deno.test("likeliest tokens come in order, and hold the chosen one where it is the likeliest", async () => {
  await using device = await Cpu.open();
  using model = await Model.open(EMBEDDED, device, { weightBytes: Infinity });
  using loop = new EngineLoop(device, model, SIZES);
  const events = await run(loop, { ...asking([1, 5, 17]), logprobs: 5 });
  const logits = await logitsOf(device, model, [1, 5, 17]);
  const last = logits.subarray(logits.length - model.config.vocabulary);
  const most = last.reduce((a, b) => Math.max(a, b));
  const sum = last.reduce((sum, value) => sum + Math.exp(value - most), 0);
  const order = [...last.keys()].sort((a, b) => last[b]! - last[a]!).slice(0, 5);
  const [, first] = events;
  assert.ok(first?.type === "token");
  assert.deepEqual(first.top!.map(([token]) => token), order);
  assert.equal(first.token, order[0]);
  assert.equal(first.logprob, first.top![0]![1]);
  first.top!.forEach(([token, logprob]) => {
    // Keys and values are halves in the pages, and single there.
    assert.ok(Math.abs(logprob - (last[token]! - most - Math.log(sum))) < 5e-3);
  });
});

Deno.test("penalties and biases change what is said, as their definitions say", async () => {
  await using device = await Cpu.open();
  using model = await Model.open(EMBEDDED, device, { weightBytes: Infinity });
  const prompt = [1, 5, 17, 80];
  const greedy = async (
    sampling: Partial<Sampling>,
    adjust: (logits: Float32Array, made: readonly number[]) => void,
  ) => {
    using loop = new EngineLoop(device, model, SIZES);
    const got = tokensOf(await run(loop, { ...asking(prompt, sampling), maxTokens: 10 }));
    const expected: number[] = [];
    for (let i = 0; i < 10; i++) {
      const all = await logitsOf(device, model, [...prompt, ...expected]);
      const last = all.slice(all.length - model.config.vocabulary);
      adjust(last, expected);
      expected.push(last.indexOf(last.reduce((a, b) => Math.max(a, b))));
    }
    assert.deepEqual(got, expected);
    return got;
  };
  const plain = await greedy({}, () => {});
  const penalized = await greedy({ frequencyPenalty: 5, presencePenalty: 1 }, (logits, made) => {
    for (const token of new Set(made)) {
      logits[token]! -= 1 + 5 * made.filter((each) => each === token).length;
    }
  });
  const repeated = await greedy({ repetitionPenalty: 4 }, (logits, made) => {
    for (const token of new Set([...prompt, ...made])) {
      logits[token] = logits[token]! > 0 ? logits[token]! / 4 : logits[token]! * 4;
    }
  });
  const biased = await greedy({ logitBias: [[plain[0]!, -100], [3, 1]] }, (logits) => {
    logits[plain[0]!]! -= 100;
    logits[3]! += 1;
  });
  for (const other of [penalized, repeated, biased]) assert.notDeepEqual(other, plain);
});

Deno.test("a seed gives the same answer alone, in a batch, and after beginning anew", async () => {
  await using device = await Cpu.open();
  using model = await Model.open(EMBEDDED, device, { weightBytes: Infinity });
  const sampling = { temperature: 1.2, topP: 0.98, seed: 1234 };
  const request = { ...asking([1, 5, 17, 80], sampling), maxTokens: 120 };
  using alone = new EngineLoop(device, model, SIZES);
  const expected = tokensOf(await run(alone, request));
  const other = { ...request, sampling: { ...request.sampling, seed: 1235 } };
  assert.notDeepEqual(tokensOf(await run(alone, other)), expected);
  // Four sequences of 124 tokens in 6 pages: some have to begin anew.
  using tight = new EngineLoop(device, model, { ...SIZES, pages: 6 });
  const answers = new Map<number, number[]>();
  for (const id of [1, 2, 3, 4]) tight.add(id, id === 4 ? request : { ...other, prompt: [id, 9] });
  while (!tight.idle) {
    for (const [id, event] of await tight.step()) {
      if (event.type === "token") answers.set(id, [...answers.get(id) ?? [], event.token]);
    }
  }
  assert.ok(tight.stats.preemptions > 0);
  assert.deepEqual(answers.get(4), expected);
  assert.equal(tight.stats.pages.used, 0);
});

Deno.test("what is sampled follows the probabilities that temperature, top-k, top-p and min-p leave", async () => {
  await using device = await Cpu.open();
  const logits = [2, 1.5, 1, 0, -1, -2, 0.5, 1.9];
  const draws = 1_500;
  const share = async (asked: object) => {
    const plain = { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 42 };
    const rows = Array.from({ length: draws }, (_, step) => ({ ...plain, ...asked, step }));
    using settings = device.upload(sampleSettings(rows));
    using all = device.upload({
      dtype: "f32",
      shape: [draws, 8],
      data: Float32Array.from({ length: draws * 8 }, (_, i) => logits[i % 8]!),
    });
    using tokens = device.run(sample, { logits: all, settings }, {}).tokens;
    const counts = new Array(8).fill(0);
    for (const token of (await device.read(tokens)).data) counts[token]++;
    return counts;
  };
  const expect = (counts: readonly number[], kept: readonly number[], temperature = 1) => {
    const weights = logits.map((x, i) => kept.includes(i) ? Math.exp(x / temperature) : 0);
    const sum = weights.reduce((a, b) => a + b);
    let chi = 0;
    counts.forEach((count, i) => {
      const expected = draws * weights[i]! / sum;
      if (expected === 0) assert.equal(count, 0, `token ${i}`);
      else chi += (count - expected) ** 2 / expected;
    });
    // Seven degrees of freedom: beyond 24.3 once in a thousand; the seed is fixed.
    assert.ok(chi < 24.3, `chi squared is ${chi}`);
  };
  expect(await share({}), [0, 1, 2, 3, 4, 5, 6, 7]);
  expect(await share({ temperature: 2 }), [0, 1, 2, 3, 4, 5, 6, 7], 2);
  expect(await share({ topK: 3 }), [0, 1, 7]);
  // Probabilities .274 .248 .166 .101 .061 ...: two make .52, three .69.
  expect(await share({ topP: 0.6 }), [0, 1, 7]);
  expect(await share({ topP: 0.5 }), [0, 7]);
  expect(await share({ minP: 0.3 }), [0, 1, 2, 7]);
  expect(await share({ topK: 4, topP: 0.6 }), [0, 7]);
});
