import { ok, strict as assert } from "node:assert";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import { calibrate_kv } from "../../../stages/calibrate_kv.ts";
import {
  type GenerationEvent,
  type GenerationRequest,
  GREEDY,
} from "../../../stages/engine/engine.ts";
import { EngineLoop } from "../../../stages/engine/engine_loop.ts";
import type { EngineSizes } from "../../../stages/engine/engine_sizes.ts";
import { Pages } from "../../../stages/engine/pages.ts";
import { Scheduler } from "../../../stages/engine/scheduler.ts";
import { newSequence } from "../../../stages/engine/sequence.ts";
import { Model } from "../../../stages/models/model.ts";
import { quantize } from "../../../stages/quantize.ts";
import { spreadCpu } from "../../support/spread_banks.ts";
import { StageChain } from "../../support/stage_chain.ts";

const SIZES: EngineSizes = {
  pages: 24,
  context: 200,
  step: { tokens: 64, sequences: 8 },
  queue: { requests: 100, tokens: 10_000 },
};

/** Guesses are run where no more sequences generate. */
const DRAFTS = { tokens: 4, sequences: 2 };

function ask(length: number, seed: number, more: Partial<GenerationRequest> = {}) {
  const prompt = Array.from({ length }, (_, i) => (i * i * 7 + (i + seed) * 13 + seed) % 96);
  return { prompt, maxTokens: 20, sampling: GREEDY, stopTokens: [], ...more };
}

/** All events of requests that begin together, and how often the host waited for tokens. */
async function serve(loop: EngineLoop, requests: readonly GenerationRequest[]) {
  const events: GenerationEvent[][] = requests.map(() => []);
  requests.forEach((request, id) => loop.add(id, request));
  let waits = 0;
  for (; !loop.idle; waits++) {
    for (const [id, event] of await loop.step()) events[id]!.push(event);
  }
  return { events, waits, stats: loop.stats };
}

/** The events without what depends on the batch. */
function told(events: readonly GenerationEvent[]): unknown[] {
  return events.filter(({ type }) => type !== "prompt");
}

for (const [where, open] of [["", Cpu.open], [" over several banks", spreadCpu]] as const) {
  Deno.test(`an engine that reads tokens of several steps at once tells the same as one that reads each${where}`, async (t) => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const plain = chain.family("llama_llama3_gqa_tied");
    const stats = await chain.calibrate(plain);
    const w4a8 = await chain.run(quantize, { model: plain }, {
      method: "rtn",
      weights: { bits: 4, group: "row" },
      activations: "dynamic",
    });
    const { path } = await chain.run(calibrate_kv, { model: w4a8, stats });
    await using device = await open();
    using model = await Model.open(path, device, { weightBytes: Infinity });
    const run = async (requests: readonly GenerationRequest[], more: Partial<EngineSizes> = {}) => {
      const all: Awaited<ReturnType<typeof serve>>[] = [];
      for (const ahead of [1, 5]) {
        const sizes = { ...SIZES, ...more };
        using loop = new EngineLoop(device, model, { ...sizes, step: { ...sizes.step, ahead } });
        all.push(await serve(loop, requests));
        assert.equal(loop.stats.pages.used, 0);
      }
      const [each, several] = all as [typeof all[0], typeof all[0]];
      assert.deepEqual(several.events.map(told), each.events.map(told));
      assert.equal(several.stats.generatedTokens, each.stats.generatedTokens);
      return { each, several };
    };
    const drawn = { ...GREEDY, temperature: 1.2, topP: 0.9, seed: 11 };

    await t.step("greedy and drawn tokens, past the border of a page", async () => {
      const requests = [
        ask(60, 1),
        ask(5, 2, { sampling: drawn }),
        ask(55, 3, { maxTokens: 33, sampling: { ...drawn, seed: 12 } }),
      ];
      const { each, several } = await run(requests);
      assert.ok(several.waits < each.waits / 2, `${several.waits} waits, and ${each.waits}`);
    });
    await t.step("an answer that a stop token ends in between", async () => {
      const open = ask(20, 4, { sampling: drawn });
      const tokens = (await run([open])).each.events[0]!.flatMap((event) =>
        event.type === "token" ? [event.token] : []
      );
      const stop = tokens[7]!;
      const { several } = await run([{ ...open, stopTokens: [stop] }, ask(9, 5)]);
      const made = several.events[0]!.filter(({ type }) => type === "token").length;
      assert.equal(made, tokens.indexOf(stop) + 1);
      assert.deepEqual(several.events[0]!.at(-1), { type: "end", reason: "stop" });
    });
    await t.step("penalties and scores, which need the host between steps", async () => {
      const requests = [
        ask(9, 6, { sampling: { ...GREEDY, repetitionPenalty: 1.3 } }),
        ask(8, 7, { logprobs: 2 }),
        ask(7, 8),
      ];
      const { each, several } = await run(requests);
      assert.equal(several.waits, each.waits);
    });
    await t.step("too few pages for all, so that some begin anew", async () => {
      const requests = [1, 2, 3].map((seed) => ask(50, seed, { maxTokens: 40 }));
      const { several } = await run(requests, { pages: 4 });
      assert.ok(several.stats.preemptions > 0);
    });
  });
}

Deno.test("scores come from recorded steps, and are those of steps that are launched one by one", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  await using device = await Cpu.open();
  const { path } = chain.family("llama_llama3_gqa_tied");
  using model = await Model.open(path, device, { weightBytes: Infinity });
  using loop = new EngineLoop(device, model, { ...SIZES, step: { ...SIZES.step, drafts: DRAFTS } });
  const record = device.record.bind(device);
  let recordings = 0;
  device.record = (make) => {
    recordings++;
    return record(make);
  };
  const drawn = { ...GREEDY, temperature: 1.1, topP: 0.9, seed: 5 };
  const asked = [
    ask(9, 1, { logprobs: 3 }),
    ask(12, 2, { logprobs: 0, sampling: drawn }),
    ask(7, 3, { logprobs: 2, sampling: { ...drawn, repetitionPenalty: 1.3 } }),
    ask(8, 4),
  ];
  const together = await serve(loop, asked);
  ok(recordings > 0, "no step was recorded");
  for (const [at, request] of asked.entries()) {
    const alone = await serve(loop, [request]);
    assert.deepEqual(told(alone.events[0]!), told(together.events[at]!));
  }
  // Who asks for scores of its prompt has all steps of the batch launched one by one.
  const before = recordings;
  const long = ask(20, 9, { promptLogprobs: 0, maxTokens: 60 });
  const launched = await serve(loop, [...asked, long]);
  assert.equal(recordings, before);
  for (const [at] of asked.entries()) {
    assert.deepEqual(told(launched.events[at]!), told(together.events[at]!));
  }
  const scored = together.events[0]!.find(({ type }) => type === "token");
  ok(scored?.type === "token" && scored.top?.length === 3 && scored.logprob! < 0);
});

Deno.test("the scheduler runs ahead as far as all may go, and takes the pages for it", () => {
  const pages = new Pages(5);
  const scheduler = new Scheduler(pages, { tokens: 200, sequences: 4, ahead: 8 });
  const request = (length: number, maxTokens: number) => ({
    prompt: Array.from({ length }, (_, i) => 1000 * length + i),
    maxTokens,
    sampling: GREEDY,
    stopTokens: [],
  });
  const [long, short] = [newSequence(1, request(60, 50)), newSequence(2, request(120, 6))];
  const step = (tokens: number) => {
    const chunks = scheduler.next();
    const steps = scheduler.ahead(chunks, 1000);
    for (const chunk of chunks) {
      for (let i = 0; i < steps; i++) {
        scheduler.done({ ...chunk, start: chunk.start + i });
        if (chunk.last) chunk.sequence.tokens.push(tokens);
      }
    }
    return steps;
  };
  scheduler.add(long);
  scheduler.add(short);
  // Prompts are no answers yet.
  assert.equal(step(1), 1);
  assert.deepEqual(pages.counts.used, 3);
  // The short one may still make 5 tokens: 4 is the power of two below.
  assert.equal(step(2), 4);
  assert.deepEqual([long.tokens.length, long.pages.length], [65, 1]);
  scheduler.remove(short);
  // The long one's 66th token needs a second page.
  assert.equal(step(3), 8);
  assert.deepEqual([long.tokens.length, long.computed, long.pages.length], [73, 72, 2]);
});

Deno.test("the scheduler does not run ahead where there are no pages for it", () => {
  const pages = new Pages(2);
  const scheduler = new Scheduler(pages, { tokens: 200, sequences: 4, ahead: 8 });
  const prompt = Array.from({ length: 120 }, (_, i) => i);
  const sequence = newSequence(1, { prompt, maxTokens: 50, sampling: GREEDY, stopTokens: [] });
  scheduler.add(sequence);
  const [first] = scheduler.next();
  scheduler.done(first!);
  sequence.tokens.push(7);
  assert.equal(scheduler.ahead(scheduler.next(), 1000), 8);
  for (let i = 0; i < 3; i++) sequence.tokens.push(7);
  sequence.computed += 3;
  assert.equal(scheduler.ahead(scheduler.next(), 1000), 1);
  assert.equal(sequence.pages.length, 2);
});
