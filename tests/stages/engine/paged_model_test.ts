import { strict as assert } from "node:assert";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import { type GenerationRequest, GREEDY } from "../../../stages/engine/engine.ts";
import { EngineLoop } from "../../../stages/engine/engine_loop.ts";
import { Model } from "../../../stages/models/model.ts";
import { logitsOf } from "../../support/forward_pass.ts";
import { StageChain } from "../../support/stage_chain.ts";

const SIZES = {
  pages: 24,
  context: 200,
  step: { tokens: 64, sequences: 8 },
  queue: { requests: 100, tokens: 10_000 },
};
const PROMPT = [1, 5, 17, 80, 33, 2];

/** Of 96 rows of the head, so many stand for tokens. */
const CHOICES = 20;

for (const [where, open] of [["the CPU engine", Cpu.open], ["the host", hostDevice]] as const) {
  Deno.test(`rows of the head that stand for no token are never drawn, on ${where}`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const { path } = chain.family("llama_wide_heads");
    await using device = await open();
    using model = await Model.open(path, device, { weightBytes: Infinity });
    using loop = new EngineLoop(device, model, SIZES, { choices: CHOICES });
    const plain = { prompt: PROMPT, maxTokens: 12, sampling: GREEDY, stopTokens: [] };
    const warm = { ...GREEDY, temperature: 3, seed: 7 };
    const requests: readonly GenerationRequest[] = [
      plain,
      { ...plain, sampling: warm },
      { ...plain, sampling: { ...warm, topK: 60, topP: 0.9 } },
      { ...plain, sampling: { ...warm, repetitionPenalty: 1.3 }, logprobs: 2 },
    ];
    const tokens: number[][] = requests.map(() => []);
    requests.forEach((request, id) => loop.add(id, request));
    while (!loop.idle) {
      for (const [id, event] of await loop.step()) {
        if (event.type === "token") tokens[id]!.push(event.token);
      }
    }
    for (const each of tokens) {
      assert.equal(each.length, 12);
      assert.ok(each.every((token) => token < CHOICES), each.join(" "));
    }
    assert.deepEqual(tokens[0], await likeliest(device, model));
  });
}

function hostDevice(): Promise<ReferenceDevice> {
  return Promise.resolve(new ReferenceDevice());
}

/** The likeliest tokens below `CHOICES`, one after another, by the model without pages. */
async function likeliest(device: Cpu | ReferenceDevice, model: Model): Promise<number[]> {
  const ids = [...PROMPT];
  while (ids.length < PROMPT.length + 12) {
    const last = (await logitsOf(device, model, ids)).slice(-model.config.vocabulary);
    const some = last.subarray(0, CHOICES);
    ids.push(some.indexOf(some.reduce((a, b) => Math.max(a, b))));
  }
  return ids.slice(PROMPT.length);
}
