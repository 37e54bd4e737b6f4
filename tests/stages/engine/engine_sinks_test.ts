// Answers of a model whose first tokens stay in half precision, however they come about.
import { strict as assert } from "node:assert";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { calibrate_kv } from "../../../stages/calibrate_kv.ts";
import {
  type GenerationEvent,
  type GenerationRequest,
  GREEDY,
} from "../../../stages/engine/engine.ts";
import { EngineLoop } from "../../../stages/engine/engine_loop.ts";
import { EngineMemory } from "../../../stages/engine/engine_memory.ts";
import { type EngineSizes, planMemory } from "../../../stages/engine/engine_sizes.ts";
import { openModel } from "../../../stages/models/architecture.ts";
import { Model } from "../../../stages/models/model.ts";
import { quantize } from "../../../stages/quantize.ts";
import { StageChain } from "../../support/stage_chain.ts";

const SINKS = 4;
/** Tokens of a first page. */
const FIRST = 64 - 3 * SINKS;
const SIZES: EngineSizes = {
  pages: 40,
  context: 180,
  step: { tokens: 64, sequences: 8 },
  queue: { requests: 100, tokens: 10_000 },
};

function ask(length: number, seed: number, more: Partial<GenerationRequest> = {}) {
  const prompt = Array.from({ length }, (_, i) => (i * i * 7 + (i + seed) * 13 + seed) % 96);
  return { prompt, maxTokens: 24, sampling: GREEDY, stopTokens: [], logprobs: 2, ...more };
}

/** Prompts of a token, within the sinks, up to the border of a page and beyond. */
const REQUESTS: readonly GenerationRequest[] = [
  ask(1, 1),
  ask(3, 2),
  ask(FIRST - 3, 3),
  ask(FIRST + 1, 4),
  ask(130, 5),
  ask(90, 6, { sampling: { ...GREEDY, temperature: 1.1, seed: 9 } }),
];

async function serve(loop: EngineLoop, requests: readonly GenerationRequest[]) {
  const events = requests.map((): GenerationEvent[] => []);
  requests.forEach((request, id) => loop.add(id, request));
  while (!loop.idle) {
    for (const [id, event] of await loop.step()) events[id]!.push(event);
    assert.deepEqual(loop.refused(), []);
  }
  assert.equal(loop.stats.pages.used, 0);
  return events.map((all) => all.filter(({ type }) => type !== "prompt"));
}

async function withSinks(chain: StageChain, cache: object): Promise<string> {
  const plain = chain.family("llama_llama3_gqa_tied");
  const stats = await chain.calibrate(plain);
  const w4a8 = await chain.run(quantize, { model: plain }, {
    method: "rtn",
    weights: { bits: 4, group: "row" },
    activations: "dynamic",
  });
  return (await chain.run(calibrate_kv, { model: w4a8, stats }, { ...cache, sinks: SINKS })).path;
}

for (
  const cache of [
    {},
    { rotate_keys: true, center_keys: true, compensate_keys: true },
    { bits: 8, zero: "pre_scale", before_rope: true },
  ]
) {
  Deno.test(`with sinks answers have the same bits alone, in a batch, in chunks, guessed ahead, from the cache and begun anew: ${JSON.stringify(cache)}`, async (t) => {
    await using chain = await StageChain.open();
    const path = await withSinks(chain, cache);
    await using device = await Cpu.open();
    using model = await Model.open(path, device, { weightBytes: Infinity });
    // A prompt of one token runs as a recorded step at once.
    await model.loadWhole();
    const open = (more: Partial<EngineSizes> = {}, step: Partial<EngineSizes["step"]> = {}) =>
      new EngineLoop(device, model, { ...SIZES, ...more, step: { ...SIZES.step, ...step } });
    const alone: GenerationEvent[][] = [];
    for (const request of REQUESTS) {
      using loop = open();
      alone.push(...await serve(loop, [request]));
    }
    assert.ok(new Set(alone.map((events) => JSON.stringify(events))).size === REQUESTS.length);
    await t.step("in a batch", async () => {
      using loop = open();
      assert.deepEqual(await serve(loop, REQUESTS), alone);
    });
    await t.step("in chunks that cut sinks and pages", async () => {
      for (const tokens of [3, 8, 51]) {
        using loop = open({}, { tokens });
        assert.deepEqual(await serve(loop, REQUESTS), alone, `${tokens} tokens a step`);
      }
    });
    await t.step("several steps at once, and guessed ahead", async () => {
      using loop = open({}, { ahead: 4 });
      assert.deepEqual(await serve(loop, REQUESTS), alone);
      using guessing = open({}, { drafts: { tokens: 5, sequences: 8 } });
      assert.deepEqual(await serve(guessing, REQUESTS), alone);
    });
    await t.step("from the cache", async () => {
      using loop = open();
      await serve(loop, REQUESTS);
      const before = loop.stats.prefixCache.hits;
      assert.deepEqual(await serve(loop, REQUESTS), alone);
      // Whole pages of the prompts of 53, 130 and 90 tokens: the first one has 52.
      assert.equal(loop.stats.prefixCache.hits - before, FIRST + (FIRST + 64) + FIRST);
    });
    await t.step("begun anew", async () => {
      // Each begins in one page and ends in two.
      const long = [3, 4, 5, 6].map((seed) => ask(FIRST - 3, seed, { maxTokens: 60 }));
      const expected: GenerationEvent[][] = [];
      for (const request of long) {
        using loop = open();
        expected.push(...await serve(loop, [request]));
      }
      using loop = open({ pages: 5 });
      assert.deepEqual(await serve(loop, long), expected);
      assert.ok(loop.stats.preemptions > 0);
    });
  });
}

Deno.test("with sinks a sequence reaches its context in the pages that are planned for it", async () => {
  await using chain = await StageChain.open();
  const path = await withSinks(chain, {});
  await using device = await Cpu.open();
  using files = await openModel(path);
  const memory = new EngineMemory(device.limits, files);
  // 128 tokens fill two pages, and take three with sinks; one is there to run ahead into.
  const wishes = { context: 128, sequences: 1 };
  const plan = await planMemory(memory, { memoryBytes: 1e9, wishes });
  assert.equal(plan.sizes.pages, 4);
  await assert.rejects(
    planMemory(memory, { memoryBytes: 1e9, wishes: { ...wishes, pages: 3 } }),
    /128 tokens take 4/,
  );
  using model = await Model.open(path, device, { weightBytes: Infinity });
  using loop = new EngineLoop(device, model, plan.sizes);
  const [events] = await serve(loop, [ask(20, 1, { maxTokens: 1000 })]);
  assert.equal(events!.filter(({ type }) => type === "token").length, 108);
  // Two pages hold 116 tokens, the last of which is the answer's.
  using tight = new EngineLoop(device, model, { ...plan.sizes, pages: 2 });
  assert.throws(() => tight.add(1, ask(115, 1)), /115 tokens: expected at most 114/);
  assert.equal((await serve(tight, [ask(114, 1, { maxTokens: 1 })]))[0]!.length, 2);
});
