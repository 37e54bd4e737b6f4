// Answers that are guessed ahead have the tokens of those that are not, alone and in a crowd.
import { strict as assert } from "node:assert";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { Gpu } from "../../../kernels/device/gpu.ts";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import { calibrate_kv } from "../../../stages/calibrate_kv.ts";
import {
  type GenerationEvent,
  type GenerationRequest,
  GREEDY,
} from "../../../stages/engine/engine.ts";
import { EngineLoop } from "../../../stages/engine/engine_loop.ts";
import type { EngineSizes } from "../../../stages/engine/engine_sizes.ts";
import { shareVocabulary } from "../../../stages/engine/grammar.ts";
import { GrammarThread } from "../../../stages/engine/grammar_thread.ts";
import { Model } from "../../../stages/models/model.ts";
import { quantize } from "../../../stages/quantize.ts";
import { StageChain } from "../../support/stage_chain.ts";

const SIZES: EngineSizes = {
  pages: 60,
  context: 250,
  step: { tokens: 64, sequences: 8 },
  queue: { requests: 100, tokens: 10_000 },
};
const DRAFTS = { tokens: 5, sequences: 8 };

/** Token t is a letter; the last one ends answers. */
const LETTERS = 96;
const END = LETTERS - 1;
const VOCABULARY = shareVocabulary(
  LETTERS,
  [END],
  (token) => token === END ? new Uint8Array() : Uint8Array.of(32 + token),
);

function ask(seed: number, more: Partial<GenerationRequest> = {}): GenerationRequest {
  const phrase = Array.from({ length: 7 }, (_, i) => (i * i * 7 + (i + seed) * 13) % 90);
  const prompt = [seed, ...phrase, ...phrase, ...phrase.slice(0, 4)];
  return { prompt, maxTokens: 60, sampling: GREEDY, stopTokens: [], ...more };
}

const drawn = { ...GREEDY, temperature: 0.05 };
/** Makes a token so likely that it comes again and again. */
const again = { logitBias: [[52, 6]] } as const;
const REQUESTS: readonly GenerationRequest[] = [
  ask(1),
  ask(2, { sampling: { ...drawn, ...again, seed: 2 } }),
  ask(3, { sampling: { ...drawn, seed: 3, topK: 5 }, maxTokens: 37 }),
  ask(4, { sampling: { ...GREEDY, ...again, repetitionPenalty: 1.02, frequencyPenalty: 0.1 } }),
  ask(5, { sampling: { ...drawn, seed: 5, logitBias: [[7, 3], [8, 3]], presencePenalty: 0.1 } }),
  ask(6, { badWords: [[4], [9, 12]], stopTokens: [30, 31], minTokens: 15 }),
  ask(7, { grammar: 'root ::= ("abc" | "d" [0-3]){20}', stopTokens: [END] }),
  ask(8, {
    grammar: 'root ::= ("x" | "yy"){40}',
    stopTokens: [END],
    sampling: { ...drawn, seed: 8 },
  }),
  ask(9, { logprobs: 2, sampling: { ...GREEDY, ...again } }),
  ask(10, { promptLogprobs: 0, maxTokens: 12 }),
];
const REPEATING = [0, 1, 3, 4, 5, 6, 7, 8];

async function serve(loop: EngineLoop, requests: readonly GenerationRequest[]) {
  const events = requests.map((): GenerationEvent[] => []);
  requests.forEach((request, id) => loop.add(id, request));
  let steps = 0;
  for (; !loop.idle; steps++) {
    for (const [id, event] of await loop.step()) events[id]!.push(event);
    assert.deepEqual(loop.refused(), []);
  }
  assert.equal(loop.stats.pages.used, 0);
  // How long it waited is no part of an answer.
  const told = events.map((all) =>
    all.map((event) => event.type === "prompt" ? { ...event, queued: 0, cached: 0 } : event)
  );
  return { told, steps, stats: loop.stats };
}

Deno.test("answers that are guessed ahead have the same tokens, alone and in a crowd", async (t) => {
  await sameTokens(t, await Cpu.open());
});

Deno.test("answers that are guessed ahead have the same tokens on a graphics processor", async (t) => {
  await sameTokens(t, await Gpu.open());
});

async function sameTokens(t: Deno.TestContext, opened: Cpu | Gpu): Promise<void> {
  await using device = opened;
  await using chain = await StageChain.open(new ReferenceDevice());
  const plain = chain.family("llama_llama3_gqa_tied");
  const stats = await chain.calibrate(plain);
  const w4a8 = await chain.run(quantize, { model: plain }, {
    method: "rtn",
    weights: { bits: 4, group: "row" },
    activations: "dynamic",
  });
  const { path } = await chain.run(calibrate_kv, { model: w4a8, stats });
  using model = await Model.open(path, device, { weightBytes: Infinity });
  using grammars = new GrammarThread(VOCABULARY, { seconds: 60 });
  const open = (more: Partial<EngineSizes> = {}, drafts: typeof DRAFTS | null = DRAFTS) => {
    const sizes = { ...SIZES, ...more };
    return new EngineLoop(device, model, {
      ...sizes,
      step: { ...sizes.step, ...drafts && { drafts } },
    }, {
      grammars,
    });
  };
  using without = open({}, null);
  const expected: GenerationEvent[][] = [];
  let steps = 0;
  for (const request of REQUESTS) {
    const one = await serve(without, [request]);
    expected.push(...one.told);
    steps += one.steps;
  }
  assert.deepEqual(without.stats.speculation, { drafts: 0, draftTokens: 0, acceptedTokens: 0 });

  await t.step("alone, with fewer steps", async () => {
    using loop = open();
    let fewer = 0;
    for (const [at, request] of REQUESTS.entries()) {
      const before = loop.stats.speculation.acceptedTokens;
      const one = await serve(loop, [request]);
      assert.deepEqual(one.told, [expected[at]], `request ${at}`);
      fewer += one.steps;
      // Each kind of request that repeats itself has drafts that are right.
      if (REPEATING.includes(at)) {
        assert.ok(one.stats.speculation.acceptedTokens > before, `request ${at}`);
      }
    }
    const { drafts, draftTokens, acceptedTokens } = loop.stats.speculation;
    assert.ok(acceptedTokens <= draftTokens && drafts <= draftTokens);
    assert.ok(fewer < 0.8 * steps, `${fewer} steps, ${steps} without`);
  });
  await t.step("in a crowd, with drafts of different lengths", async () => {
    using loop = open();
    const crowd = REQUESTS.filter(({ logprobs, promptLogprobs }) =>
      logprobs === undefined && promptLogprobs === undefined
    );
    const { told, stats } = await serve(loop, crowd);
    assert.deepEqual(told, expected.slice(0, crowd.length));
    assert.ok(stats.speculation.acceptedTokens > 0);
  });
  await t.step("all at once, again with prompts that are known, and with scores", async () => {
    using loop = open();
    for (let round = 0; round < 2; round++) {
      const long = REQUESTS.map((request) => ({ ...request }));
      assert.deepEqual((await serve(loop, long)).told, expected, `round ${round}`);
    }
  });
  await t.step("with too few pages for all, so that some begin anew", async () => {
    using loop = open({ pages: 5 });
    const few = [0, 1, 3, 4];
    const { told, stats } = await serve(
      loop,
      few.map((at) => ({ ...REQUESTS[at]!, maxTokens: 60 })),
    );
    assert.deepEqual(told, few.map((at) => expected[at]));
    assert.ok(stats.preemptions > 0);
  });
  await t.step("not where more generate than shall", async () => {
    using loop = open({}, { tokens: 5, sequences: 2 });
    const three = [0, 1, 4].map((at) => REQUESTS[at]!);
    const { told, stats } = await serve(loop, three.map((one) => ({ ...one, maxTokens: 60 })));
    assert.deepEqual(told, [0, 1, 4].map((at) => expected[at]));
    assert.equal(stats.speculation.drafts, 0);
  });
}
