import { strict as assert } from "node:assert";
import type { Device } from "../../../kernels/device/device.ts";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { Gpu } from "../../../kernels/device/gpu.ts";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import { calibrate_kv } from "../../../stages/calibrate_kv.ts";
import {
  type GenerationEvent,
  type GenerationRequest,
  GREEDY,
  type ScoredToken,
} from "../../../stages/engine/engine.ts";
import { EngineLoop } from "../../../stages/engine/engine_loop.ts";
import type { EngineSizes } from "../../../stages/engine/engine_sizes.ts";
import { Model } from "../../../stages/models/model.ts";
import { quantize } from "../../../stages/quantize.ts";
import { logitsOf } from "../../support/forward_pass.ts";
import { FAMILIES, StageChain } from "../../support/stage_chain.ts";

const SIZES: EngineSizes = {
  pages: 24,
  context: 200,
  step: { tokens: 64, sequences: 8 },
  queue: { requests: 100, tokens: 10_000 },
};

/** Ids below 96, the vocabulary of the families. */
function prompt(length: number, seed: number): number[] {
  return Array.from({ length }, (_, i) => (i * i * 7 + (i + seed) * 13 + seed) % 96);
}

function ask(length: number, seed: number, more: Partial<GenerationRequest> = {}) {
  const request = { prompt: prompt(length, seed), maxTokens: 12, sampling: GREEDY, stopTokens: [] };
  return { ...request, ...more };
}

/** All events of some requests that come one after another, some steps apart. */
async function serve(
  loop: EngineLoop,
  requests: readonly GenerationRequest[],
  every = 0,
): Promise<GenerationEvent[][]> {
  const events: GenerationEvent[][] = requests.map(() => []);
  let next = 0;
  for (let step = 0; next < requests.length || !loop.idle; step++) {
    while (next < requests.length && step >= next * every) {
      loop.add(next, requests[next]!);
      next++;
    }
    for (const [id, event] of await loop.step()) events[id]!.push(event);
  }
  return events;
}

function tokensOf(events: readonly GenerationEvent[]): number[] {
  return events.flatMap((event) => event.type === "token" ? [event.token] : []);
}

/** What the model itself, without pages, says comes next, one token after another. */
async function greedy(device: Device, model: Model, request: GenerationRequest): Promise<number[]> {
  const ids = [...request.prompt];
  const { vocabulary } = model.config;
  while (ids.length < request.prompt.length + request.maxTokens) {
    const logits = await logitsOf(device, model, ids, SIZES.context);
    const last = logits.subarray(logits.length - vocabulary);
    ids.push(last.indexOf(last.reduce((a, b) => Math.max(a, b))));
  }
  return ids.slice(request.prompt.length);
}

for (const family of FAMILIES) {
  Deno.test(`the engine gives ${family}'s own greedy tokens, alone and in a batch that comes and goes`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const plain = chain.family(family);
    const stats = await chain.calibrate(plain);
    const w4a8 = await chain.run(quantize, { model: plain }, {
      method: "rtn",
      weights: { bits: 4, group: "row" },
      activations: "dynamic",
    });
    const model = await chain.run(calibrate_kv, { model: w4a8, stats });
    await using device = await Cpu.open();
    using opened = await Model.open(model.path, device, { weightBytes: Infinity });
    const requests = [[5, 1], [70, 2], [1, 3], [130, 4], [64, 5]].map(([length, seed]) =>
      ask(length!, seed!)
    );
    const expected: number[][] = [];
    for (const request of requests.slice(0, 3)) {
      expected.push(await greedy(device, opened, request));
    }
    using loop = new EngineLoop(device, opened, SIZES);
    const together = (await serve(loop, requests, 2)).map(tokensOf);
    assert.deepEqual(together.slice(0, 3), expected);
    for (const [i, request] of requests.entries()) {
      using alone = new EngineLoop(device, opened, {
        ...SIZES,
        step: { tokens: 500, sequences: 1 },
      });
      assert.deepEqual(tokensOf((await serve(alone, [request]))[0]!), together[i]);
    }
    assert.deepEqual(loop.stats.pages.used, 0);
  });
}

for (const activations of ["dynamic", "none"] as const) {
  Deno.test(`with activations ${activations}, the engine gives the same tokens and scores alone, in chunks and begun anew on a GPU`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const plain = chain.family("llama_llama3_gqa_tied");
    const stats = await chain.calibrate(plain);
    const weights = { bits: 4, group: "row" };
    const w4 = await chain.run(quantize, { model: plain }, { method: "rtn", weights, activations });
    const { path } = await chain.run(calibrate_kv, { model: w4, stats }, { bits: 4 });
    await using device = await Gpu.open();
    using model = await Model.open(path, device, { weightBytes: Infinity });
    const requests = [[60, 1], [58, 2], [1, 3], [130, 4], [62, 5]].map(([length, seed]) =>
      ask(length!, seed!, { promptLogprobs: 0, logprobs: 0 })
    );
    using crowded = new EngineLoop(device, model, {
      ...SIZES,
      pages: 4,
      step: { tokens: 40, sequences: 8 },
    });
    const together = (await serve(crowded, requests, 1)).map(scoredOf);
    assert.ok(crowded.stats.preemptions > 0);
    for (const [i, request] of requests.entries()) {
      using alone = new EngineLoop(device, model, {
        ...SIZES,
        step: { tokens: 500, sequences: 1 },
      });
      const [events] = await serve(alone, [request]);
      assert.deepEqual(together[i], scoredOf(events!), `request ${i}`);
      assert.equal(together[i]!.length, request.prompt.length - 1 + request.maxTokens);
    }
  });
}

/** Tokens of the prompt and the answer, with their log-probabilities. */
function scoredOf(events: readonly GenerationEvent[]): ScoredToken[] {
  return events.flatMap((event) => {
    if (event.type === "prompt") return event.scores!;
    return event.type === "token" ? [{ token: event.token, logprob: event.logprob! }] : [];
  });
}
