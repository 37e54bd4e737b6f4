import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import { readManifest } from "../../pipeline/manifest/read_manifest.ts";
import { selectSteps } from "../../pipeline/manifest/selection.ts";
import { run } from "../../pipeline/run/runner.ts";
import { Runs } from "../../pipeline/store/runs.ts";
import { Store } from "../../pipeline/store/store.ts";
import { Adviser, type RecipeAdvice } from "../../stages/advice.ts";
import { planBatch } from "../../stages/benchmark/batches.ts";
import { GREEDY } from "../../stages/engine/engine.ts";
import { EngineLoop } from "../../stages/engine/engine_loop.ts";
import { EngineMemory } from "../../stages/engine/engine_memory.ts";
import { openModel } from "../../stages/models/architecture.ts";
import { Model } from "../../stages/models/model.ts";
import { describeModel } from "../../stages/models/model_facts.ts";
import { EMBEDDED } from "../../stages/models/checkpoint_place.ts";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import * as stages from "../../stages/mod.ts";
import { openTools } from "../../stages/tools.ts";

const LOAD = { memoryBytes: 1e8, batch: 3, context: 192, output: 64 };
const FEW = ["samples=2", "sample_tokens=64", "group=64"];

/** The step whose model each recipe evaluates. */
const MADE = { "fp16": "fp16", "gptq": "w4a16", "qoq-head": "w4a8kv4", "quarot": "w4a4kv4" };

Deno.test("what is advised of a recipe is what it makes, to the byte, and what the engine takes of it", async (test) => {
  const directory = await Deno.makeTempDir({ prefix: "quattuor-advice-" });
  try {
    await using tools = openTools({ device: "cpu" });
    const device = await tools.device();
    using checkpoint = await openCheckpoint(EMBEDDED);
    const { signal } = new AbortController();
    const adviser = new Adviser(device, stages, { ...LOAD, config: checkpoint.config, signal });
    for (const [recipe, step] of Object.entries(MADE)) {
      await test.step(recipe, async () => {
        const path = fileURLToPath(new URL(`../../configs/${recipe}.yaml`, import.meta.url));
        const known = (await readManifest(path, { stages, set: [] })).params;
        const set = FEW.filter((each) => each.split("=")[0]! in known);
        const manifest = await readManifest(path, { stages, set });
        const advised = await adviser.advise(recipe, manifest.steps);
        const store = new Store(directory);
        const { ok } = await run(manifest, {
          store,
          stages,
          tools: () => openTools({ device: "cpu" }),
          emit: () => {},
          selected: selectSteps(manifest, { until: [step] }),
        });
        assert.ok(ok);
        const key = (await Runs.open(store.path, path)).lastStep(step)?.key;
        const made = `${directory}/artifacts/${key}`;
        const { bytes, kvBytesPerToken } = await describeModel(made);
        assert.equal(advised.weightBytes, bytes);
        assert.equal(advised.kvBytesPerToken, kvBytesPerToken);
        assert.equal(advised.batch, LOAD.batch);
        assert.ok(advised.timed && advised.prefill! > 0 && advised.decode! > 0);
        await assertMemory(advised, made);
      });
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** That an engine at the batch holds what was advised, within a fifth, where it is driven as by `serve`. */
async function assertMemory({ memoryBytes = 0, batch }: RecipeAdvice, path: string): Promise<void> {
  await using device = await Cpu.open();
  const { context, output } = LOAD;
  const load = { prompt: context - output, output, memoryBytes: LOAD.memoryBytes };
  using files = await openModel(path);
  const { sizes } = await planBatch(new EngineMemory(device.limits, files), load, batch);
  using model = await Model.open(path, device, { weightBytes: Infinity });
  await model.loadWhole();
  device.trim();
  using loop = new EngineLoop(device, model, sizes);
  const prompt = Array.from({ length: load.prompt }, (_, at) => at % 100);
  for (let id = 0; id < batch; id++) {
    loop.add(id, { prompt, maxTokens: output, sampling: GREEDY, stopTokens: [] });
  }
  let most = 0;
  while (!loop.idle) {
    await loop.step();
    if (device.memory.held > memoryBytes) device.trim();
    most = Math.max(most, device.memory.held);
  }
  assert.ok(
    Math.abs(memoryBytes / most - 1) < 0.2,
    `${memoryBytes} bytes are advised, the engine held ${most}`,
  );
}

Deno.test("fewer sequences run where fewer fit, none where the weights do not, and each says how many", async () => {
  await using tools = openTools({ device: "cpu" });
  using checkpoint = await openCheckpoint(EMBEDDED);
  const { signal } = new AbortController();
  const path = fileURLToPath(new URL("../../configs/fp16.yaml", import.meta.url));
  const { steps } = await readManifest(path, { stages, set: [] });
  const advised = async (memoryBytes: number) => {
    const wishes = { ...LOAD, batch: 1000, memoryBytes, config: checkpoint.config, signal };
    return await new Adviser(await tools.device(), stages, wishes).advise("fp16", steps);
  };
  const few = await advised(40e6);
  // 7.3 MB of weights; 192 tokens of 2,048 bytes each.
  assert.ok(few.sequences > 2 && few.sequences < 33e6 / (192 * 2048), `${few.sequences} fit`);
  assert.equal(few.batch, few.sequences);
  assert.ok(few.memoryBytes! <= 40e6);
  const none = await advised(5e6);
  assert.deepEqual(
    [none.sequences, none.batch, none.memoryBytes, none.decode],
    [0, 0, undefined, undefined],
  );
});

Deno.test("the quality that is expected is of the nearest model that was measured", async () => {
  await using tools = openTools({ device: "cpu" });
  using checkpoint = await openCheckpoint(EMBEDDED);
  const path = fileURLToPath(new URL("../../configs/gptq.yaml", import.meta.url));
  const { steps } = await readManifest(path, { stages, set: [] });
  const quality = async (sizes: object) => {
    const config = { ...checkpoint.config as object, ...sizes };
    const { signal } = new AbortController();
    // Too little for one sequence, so that nothing is timed.
    const wishes = { ...LOAD, memoryBytes: 1e6, config, signal };
    return (await new Adviser(await tools.device(), stages, wishes).advise("gptq", steps)).quality;
  };
  const small = await quality({});
  assert.equal(small?.model, "SmolLM2-135M-Instruct");
  assert.equal(small.ratio.toFixed(4), (22.2818 / 19.1352).toFixed(4));
  const large = await quality({
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 32,
    vocab_size: 32000,
    head_dim: 128,
  });
  assert.equal(large?.model, "Llama-2-7B");
  assert.equal(large.ratio.toFixed(3), (5.63 / 5.47).toFixed(3));
});
