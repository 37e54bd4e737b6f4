import { strict as assert } from "node:assert";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { type Limits, PROMISED_LIMITS, USUAL_LIMITS } from "../../../kernels/device/limits.ts";
import { PRECISIONS } from "../../../stages/benchmark/precisions.ts";
import { randomFiles, randomModel } from "../../../stages/benchmark/random_model.ts";
import { SHAPES } from "../../../stages/benchmark/shapes.ts";
import { EngineError, GREEDY } from "../../../stages/engine/engine.ts";
import { EngineLoop } from "../../../stages/engine/engine_loop.ts";
import { EngineMemory } from "../../../stages/engine/engine_memory.ts";
import { planMemory, plannedBytes, type SizeWishes } from "../../../stages/engine/engine_sizes.ts";
import { recordEveryStep, runLargestSteps } from "../../../stages/engine/largest_steps.ts";
import { openModel } from "../../../stages/models/architecture.ts";
import { Model } from "../../../stages/models/model.ts";
import { quantize } from "../../../stages/quantize.ts";
import { StageChain } from "../../support/stage_chain.ts";

const EMBEDDED = fileURLToPath(new URL("../../../configs/embedded", import.meta.url));
/** Few enough to be quick. */
const WISHES = { context: 200, sequences: 5, stepTokens: 100, ahead: 4 };

for (const head of [undefined, "w8a8", "w8a16"]) {
  const words = head === undefined ? "" : `, with a head in ${head}`;
  Deno.test(`an engine's weights, steps and pages hold the memory that was counted${words}`, async () => {
    await using chain = await StageChain.open();
    const params = { method: "rtn", weights: { group: 32 }, head };
    const { path } = head === undefined
      ? chain.embedded()
      : await chain.run(quantize, { model: chain.embedded() }, params);
    await holdsWhatWasCounted(path, WISHES);
  });
}

Deno.test("an engine that guesses ahead holds the memory that was counted", async () => {
  await holdsWhatWasCounted(EMBEDDED, { ...WISHES, speculate: "ngram" });
});

async function holdsWhatWasCounted(path: string, wishes: SizeWishes): Promise<void> {
  await using device = await Cpu.open();
  using model = await Model.open(path, device, { weightBytes: Infinity });
  const memory = new EngineMemory(device.limits, model);
  const plan = await planMemory(memory, { memoryBytes: 1e9, wishes });
  await model.loadWhole();
  assert.equal(device.memory.held, plan.weightBytes);
  const recorded = await recordEveryStep(device, model, plan.sizes);
  // What recordings gave back would be found by steps.
  device.trim();
  const steps = await runLargestSteps(device, model, plan.sizes) - memory.pageBytes(1);
  assert.equal(steps + recorded, plan.workspaceBytes);
  device.trim();
  const before = device.memory.held;
  using _loop = new EngineLoop(device, model, plan.sizes);
  const angles = 4 * plan.sizes.context * model.config.headSize;
  const held = device.memory.held - before;
  assert.ok(held > plan.kvBytes && held <= plan.kvBytes + 1.125 * angles);
}

Deno.test("an engine comes back to what was planned, whatever it is asked for", async () => {
  await using device = await Cpu.open();
  using model = await Model.open(EMBEDDED, device, { weightBytes: Infinity });
  const memory = new EngineMemory(device.limits, model);
  const wishes = { ...WISHES, speculate: "ngram" } as const;
  const plan = await planMemory(memory, { memoryBytes: 1e9, wishes });
  await model.loadWhole();
  using loop = new EngineLoop(device, model, plan.sizes);
  const prompt = (length: number) => Array.from({ length }, (_, i) => i);
  const plain = { maxTokens: 9, sampling: GREEDY, stopTokens: [] };
  const penalties = { ...GREEDY, temperature: 1, repetitionPenalty: 1.3 };
  const requests = [
    { ...plain, prompt: prompt(190), promptLogprobs: 20, logprobs: 20 },
    { ...plain, prompt: prompt(99), sampling: penalties, logprobs: 5 },
    { ...plain, prompt: [...prompt(20), ...prompt(20)], sampling: penalties, maxTokens: 40 },
    { ...plain, prompt: [...prompt(9), ...prompt(9), ...prompt(9)], maxTokens: 150 },
    ...[1, 64, 30, 7].map((length) => ({ ...plain, prompt: prompt(length) })),
  ];
  requests.forEach((request, id) => loop.add(id, request));
  while (!loop.idle) {
    await loop.step();
    // As whoever drives it does.
    if (device.memory.held > plannedBytes(plan)) device.trim();
  }
  const { held } = device.memory;
  assert.ok(held <= plannedBytes(plan), `${held} of ${plannedBytes(plan)} bytes`);
});

Deno.test("pages take the memory that weights and steps leave; too little is refused", async () => {
  using files = await openModel(EMBEDDED);
  const memory = new EngineMemory(USUAL_LIMITS, files);
  const ample = await planMemory(memory, { memoryBytes: 1e9, wishes: WISHES });
  // A context of 200 tokens is four pages of 64, and one to run ahead into.
  assert.equal(ample.sizes.pages, 5 * 5);
  const rest = ample.weightBytes + ample.workspaceBytes;
  const scarce = rest + memory.pageBytes(11);
  const plan = await planMemory(memory, { memoryBytes: scarce, wishes: WISHES });
  assert.ok(plannedBytes(plan) <= scarce);
  assert.ok(memory.pageBytes(plan.sizes.pages + 1) > scarce - rest);
  const least = rest + memory.pageBytes(5);
  const barely = await planMemory(memory, { memoryBytes: least, wishes: WISHES });
  assert.ok(barely.sizes.pages >= 5);
  const refused = (memoryBytes: number) =>
    assert.rejects(
      planMemory(memory, { memoryBytes, wishes: WISHES }),
      (error) => {
        assert.ok(error instanceof EngineError && error.why === "unavailable");
        assert.match(error.message, /^Cannot serve the model in \d+ MB: its weights take \d+ MB/);
        return true;
      },
    );
  await refused(least - 1);
  await refused(1e6);
});

Deno.test("a driver that cuts loops bounds a sequence, not the sequences that run at once", async () => {
  using files = await openModel(EMBEDDED);
  // What llvmpipe does: attention takes two turns a key.
  const plans = async (turns: number, wishes: SizeWishes) => {
    const memory = new EngineMemory({ ...USUAL_LIMITS, turns }, files);
    return await planMemory(memory, { memoryBytes: 1e9, wishes });
  };
  const whole = await plans(65535, {});
  assert.equal(whole.sizes.context, 2048);
  assert.equal(whole.sizes.step.sequences, 256);
  assert.deepEqual(whole.notes, []);
  const cut = await plans(2000, {});
  assert.equal(cut.sizes.context, 1000);
  assert.deepEqual(cut.notes, [
    "contexts end at 1000 tokens, the most that this driver attends to",
  ]);
  assert.deepEqual((await plans(2000, { context: 900 })).notes, []);
});

Deno.test("the memory of an engine of 70 billion parameters is counted without walking over them", async () => {
  const shape = SHAPES["llama-2-70b"];
  for (const precision of ["f16", "w4a8kv4"] as const) {
    const files = randomFiles(randomModel(shape, PRECISIONS[precision]));
    const before = process.cpuUsage();
    const memory = new EngineMemory(USUAL_LIMITS, files);
    const plan = await planMemory(memory, { memoryBytes: 300e9, wishes: {} });
    const { user, system } = process.cpuUsage(before);
    // As many values would take minutes; of the processor, whatever else the machine does.
    assert.ok(user + system < 1e7, `${precision}: ${(user + system) / 1e6} s`);
    assert.ok(plannedBytes(plan) <= 300e9);
  }
});

Deno.test("steps shrink to what WebGPU's default bindings hold, and those that were asked for are refused", async () => {
  const files = randomFiles(randomModel(SHAPES["llama-3-8b"], PRECISIONS.w4a8kv4));
  const few = { context: 512, sequences: 2, ahead: 1 };
  const plan = (limits: Limits, wishes: SizeWishes) =>
    planMemory(new EngineMemory(limits, files), { memoryBytes: 64e9, wishes });
  const usual = await plan(USUAL_LIMITS, few);
  assert.deepEqual([usual.sizes.step.tokens, usual.notes], [2048, []]);
  const small = await plan(PROMISED_LIMITS, few);
  // Gate and up of a token are 2 * 14,336 floats, of which 128 MiB hold 1,170.
  assert.equal(small.sizes.step.tokens, 1024);
  assert.match(small.notes.join(), /steps take 1024 tokens, .* 134 MB/);
  await assert.rejects(
    () => plan(PROMISED_LIMITS, { ...few, stepTokens: 2000 }),
    (error) =>
      error instanceof EngineError && /f32\[2000, 28672\].* --step-tokens/.test(error.message),
  );
});
