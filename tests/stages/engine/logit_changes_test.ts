// Decode steps whose logits change before tokens are chosen: on record, beside masks that come late.
import { strict as assert } from "node:assert";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import { type GenerationRequest, GREEDY } from "../../../stages/engine/engine.ts";
import { EngineLoop } from "../../../stages/engine/engine_loop.ts";
import type { EngineSizes } from "../../../stages/engine/engine_sizes.ts";
import type { Constraint, Grammars } from "../../../stages/engine/grammar.ts";
import { Model } from "../../../stages/models/model.ts";
import { StageChain } from "../../support/stage_chain.ts";

const SIZES: EngineSizes = {
  pages: 40,
  context: 200,
  step: { tokens: 64, sequences: 8 },
  queue: { requests: 100, tokens: 10_000 },
};
const VOCABULARY = 96;

/** Allows every third token, others at each place; a grammar is how many steps a mask takes. */
class SlowMasks implements Grammars {
  readonly #open = new Set<{ left: number; tell(): void }>();

  /** Says that a step is done. */
  tick(): void {
    for (const one of this.#open) if (--one.left === 0) one.tell();
  }

  open(grammar: string): Constraint {
    const steps = Number(grammar);
    let [place, failure] = [0, undefined as string | undefined];
    let allowed: Uint32Array | undefined;
    let known = Promise.withResolvers<void>();
    const one = {
      left: steps,
      tell() {
        allowed = maskAt(place);
        known.resolve();
      },
    };
    this.#open.add(one);
    const find = () => {
      allowed = undefined;
      known = Promise.withResolvers();
      one.left = steps;
      if (steps === 0) one.tell();
    };
    find();
    return {
      get allowed() {
        return allowed;
      },
      get failure() {
        return failure;
      },
      accept() {
        place++;
        find();
      },
      along: [],
      follow() {},
      settled: () => known.promise,
      [Symbol.dispose]: () => {
        this.#open.delete(one);
        failure = "closed";
        known.resolve();
      },
    };
  }

  [Symbol.dispose](): void {}
}

function maskAt(place: number): Uint32Array {
  const mask = new Uint32Array(VOCABULARY / 32);
  for (let token = place % 3; token < VOCABULARY; token += 3) mask[token >>> 5]! |= 1 << token % 32;
  return mask;
}

function ask(seed: number, more: Partial<GenerationRequest> = {}): GenerationRequest {
  const prompt = Array.from({ length: 5 + seed }, (_, i) => (i * i * 7 + (i + seed) * 13) % 96);
  const sampling = { ...GREEDY, temperature: 1.2, seed };
  return { prompt, maxTokens: 24, sampling, stopTokens: [], ...more };
}

/** Tokens of requests that begin together, and the steps that each of them came with. */
async function serve(
  loop: EngineLoop,
  requests: readonly GenerationRequest[],
  grammars?: SlowMasks,
) {
  const tokens = requests.map((): number[] => []);
  const steps = requests.map((): number[] => []);
  requests.forEach((request, id) => loop.add(id, request));
  for (let step = 0; !loop.idle; step++) {
    for (const [id, event] of await loop.step()) {
      if (event.type !== "token") continue;
      tokens[id]!.push(event.token);
      steps[id]!.push(step);
    }
    grammars?.tick();
  }
  return { tokens, steps };
}

async function withModel(
  work: (device: Cpu, model: Model) => Promise<void>,
): Promise<void> {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { path } = chain.family("llama_llama3_gqa_tied");
  await using device = await Cpu.open();
  using model = await Model.open(path, device, { weightBytes: Infinity });
  assert.equal(model.config.vocabulary, VOCABULARY);
  await work(device, model);
}

/** Steps that nothing can put on record: scores are asked for. */
const scored = (request: GenerationRequest) => ({ ...request, logprobs: 0 });

const drawn = { ...GREEDY, temperature: 1.2 };
const CHANGED: readonly GenerationRequest[] = [
  ask(1, { sampling: { ...drawn, seed: 1, repetitionPenalty: 1.4 } }),
  ask(2, { sampling: { ...drawn, seed: 2, presencePenalty: 1, frequencyPenalty: 0.5 } }),
  ask(3, { sampling: { ...drawn, seed: 3, logitBias: [[7, 4], [90, -100]] } }),
  ask(4, { grammar: "0" }),
  ask(5, { grammar: "0", sampling: { ...GREEDY, frequencyPenalty: 1.5 } }),
  ask(6, { stopTokens: [3, 8, 50, 61], minTokens: 20, badWords: [[4], [9, 12]] }),
  ask(7),
];

Deno.test("steps with penalties and masks are replayed, and choose as those launch by launch do", async () => {
  await withModel(async (device, model) => {
    using grammars = new SlowMasks();
    const alone: number[][] = [];
    for (const request of CHANGED) {
      using loop = new EngineLoop(device, model, SIZES, { grammars });
      alone.push(...(await serve(loop, [scored(request)])).tokens);
    }
    using loop = new EngineLoop(device, model, SIZES, { grammars });
    CHANGED.forEach((request, id) => loop.add(id, request));
    const tokens = CHANGED.map((): number[] => []);
    const run = device.run.bind(device);
    let launches = 0;
    device.run = ((...args: Parameters<Cpu["run"]>) => {
      launches++;
      return run(...args);
    }) as Cpu["run"];
    const launched: number[] = [];
    while (!loop.idle) {
      launches = 0;
      for (const [id, event] of await loop.step()) {
        if (event.type === "token") tokens[id]!.push(event.token);
      }
      launched.push(launches);
    }
    assert.deepEqual(tokens, alone);
    // The prompts' step, and the first of each number of sequences; all others are replayed.
    const numbers = new Set(tokens.map(({ length }) => length)).size;
    assert.equal(launched.filter((count) => count > 0).length, 1 + numbers);
    const masked = tokens[3]!;
    assert.ok(masked.every((token, place) => token % 3 === place % 3), masked.join(" "));
    assert.ok(!tokens[5]!.includes(4));
  });
});

Deno.test("an answer whose masks come late misses steps, and nobody else does", async () => {
  await withModel(async (device, model) => {
    using grammars = new SlowMasks();
    const requests = (steps: number) => [
      ask(1),
      ask(2, { grammar: String(steps), maxTokens: 4 }),
      ask(3, { sampling: { ...drawn, seed: 3, repetitionPenalty: 1.4 } }),
      ask(4, { grammar: "0" }),
    ];
    using quick = new EngineLoop(device, model, SIZES, { grammars });
    const expected = await serve(quick, requests(0));
    using slow = new EngineLoop(device, model, SIZES, { grammars });
    const found = await serve(slow, requests(6), grammars);
    assert.deepEqual(found.tokens, expected.tokens);
    // The first mask, and those behind each of its tokens.
    assert.deepEqual(found.steps[1], [6, 12, 18, 24]);
    for (const other of [0, 2, 3]) {
      assert.deepEqual(found.steps[other], Array.from({ length: 24 }, (_, step) => step));
    }
  });
});

Deno.test("more penalties than recorded steps have room for are taken launch by launch", async () => {
  await withModel(async (device, model) => {
    const sizes = { ...SIZES, step: { ...SIZES.step, sequences: 1 } };
    const bias = (count: number) =>
      Array.from({ length: count }, (_, i) => [i % VOCABULARY, 3 / count] as const);
    const tokens = [];
    for (const logitBias of [bias(VOCABULARY), bias(20 * VOCABULARY)]) {
      using loop = new EngineLoop(device, model, sizes);
      const request = ask(1, { sampling: { ...GREEDY, repetitionPenalty: 1.2, logitBias } });
      tokens.push(...(await serve(loop, [request])).tokens);
    }
    // Every token is raised alike.
    assert.deepEqual(tokens[1], tokens[0]);
  });
});
