import { strict as assert } from "node:assert";
import { deserialize, serialize } from "node:v8";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import { CPU_LIMITS, USUAL_LIMITS } from "../../kernels/device/limits.ts";
import type { Journal } from "../../pipeline/stage.ts";
import { benchmark } from "../../stages/benchmark.ts";
import { batchesUpTo, largestBatch, planBatch } from "../../stages/benchmark/batches.ts";
import { PRECISIONS } from "../../stages/benchmark/precisions.ts";
import { randomFiles, randomModel, writeRandomModel } from "../../stages/benchmark/random_model.ts";
import { type Benchmark, bestOf, ratesOf } from "../../stages/benchmark/results.ts";
import { SHAPES } from "../../stages/benchmark/shapes.ts";
import { architectureOf, openModel } from "../../stages/models/architecture.ts";
import { gainsOf } from "../../stages/models/whole_gains.ts";
import { EngineMemory } from "../../stages/engine/engine_memory.ts";
import { plannedBytes } from "../../stages/engine/engine_sizes.ts";
import { kvSchemes, pageBytes } from "../../stages/engine/kv_pools.ts";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import { describeModel, sizesOf } from "../../stages/models/model_facts.ts";
import { Model } from "../../stages/models/model.ts";
import { PLAIN } from "../../stages/models/model_record.ts";
import { codedValues } from "../../stages/quant/coded_weight.ts";
import { readCoded } from "../../stages/quant/stored_weight.ts";
import { readEvaluation } from "../../stages/report/evaluation.ts";
import { logitsOf } from "../support/forward_pass.ts";
import { StageChain } from "../support/stage_chain.ts";

/** Four layers' worth of every kind of tensor, in a second. */
const SMALL = {
  ...SHAPES["llama-3-8b"],
  hidden_size: 256,
  intermediate_size: 384,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 500,
  max_position_embeddings: 256,
};
const NAMES = Object.keys(PRECISIONS) as (keyof typeof PRECISIONS)[];

/** A journal that a stage finds again. */
class MemoryJournal implements Journal {
  readonly entries = new Map<string, Uint8Array<ArrayBuffer>>();
  async recall<T>(name: string, make: () => Promise<T>): Promise<T> {
    const known = this.entries.get(name);
    if (known) return deserialize(known);
    const value = await make();
    this.entries.set(name, Uint8Array.from(serialize(value)));
    return value;
  }
  read(name: string) {
    return Promise.resolve(this.entries.get(name));
  }
  write(name: string, bytes: Uint8Array) {
    this.entries.set(name, Uint8Array.from(bytes));
    return Promise.resolve();
  }
  keep() {
    return Promise.reject(new Error("no files"));
  }
  restore() {
    return Promise.resolve(false);
  }
}

async function reportOf({ path }: { readonly path: string }): Promise<Benchmark> {
  return JSON.parse(await Deno.readTextFile(`${path}/report.json`)).benchmark;
}

for (const name of NAMES) {
  Deno.test(`random weights in ${name} are a model that runs, as large as trained ones`, async () => {
    const directory = await Deno.makeTempDir();
    try {
      const laid = randomModel(SMALL, PRECISIONS[name]);
      await writeRandomModel(directory, laid, { seed: 3 });
      using checkpoint = await openCheckpoint(directory);
      for (const linear of ["self_attn.q_proj", "mlp.down_proj"]) {
        const tensor = `model.layers.1.${linear}`;
        const scheme = laid.record.linears[tensor]?.weights;
        const columns = linear === "mlp.down_proj" ? 384 : 256;
        let values: Float32Array;
        if (scheme) {
          const weight = await readCoded(checkpoint, tensor, scheme);
          if (scheme.zero === "none") {
            const lowest = Array.from<number>(weight.codes).reduce((a, b) => Math.min(a, b));
            assert.equal(lowest, 1 - 2 ** (scheme.bits - 1));
          }
          values = codedValues(weight);
        } else {
          values = await checkpoint.read(`${tensor}.weight`);
        }
        const mean = values.reduce((a, b) => a + b, 0) / values.length;
        const squares = values.reduce((a, b) => a + b * b, 0) / values.length;
        assert.ok(Math.abs(mean) < 0.1 / Math.sqrt(columns), `mean ${mean}`);
        const times = Math.sqrt(squares * columns);
        assert.ok(times > 0.7 && times < 1.42, `${times} of 1 / sqrt(columns)`);
      }
      // A network of such weights keeps the size of what goes through it.
      await using device = await Cpu.open();
      using model = await Model.open(directory, device, { weightBytes: Infinity });
      const logits = await logitsOf(device, model, [1, 499, 17, 80]);
      const size = Math.sqrt(logits.reduce((a, b) => a + b * b, 0) / logits.length);
      assert.ok(size > 0.5 && size < 2, `logits of ${size}`);
      const facts = await describeModel(directory);
      assert.deepEqual(sizesOf(laid, laid.architecture).bytes, facts.bytes);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

Deno.test("the largest batch fills memory: one more sequence would not have its pages", async () => {
  const load = { prompt: 1024, output: 512, memoryBytes: 40e9 };
  const found = new Map<string, number>();
  for (const name of NAMES) {
    const files = randomFiles(randomModel(SHAPES["llama-2-7b"], PRECISIONS[name]));
    const { architecture, record, checkpoint } = files;
    const memory = new EngineMemory(USUAL_LIMITS, files);
    const largest = await largestBatch(memory, load, 4096);
    const plan = await planBatch(memory, load, largest);
    assert.ok(plannedBytes(plan) <= load.memoryBytes);
    // Buffers of the device are at most an eighth larger than what is in them.
    const { bytes } = sizesOf(checkpoint, architecture);
    assert.ok(plan.weightBytes >= bytes && plan.weightBytes <= 1.125 * bytes, name);
    // 1,536 tokens are 24 pages of 64.
    assert.ok(plan.sizes.pages >= 24 * largest);
    const rest = load.memoryBytes - plan.weightBytes - plan.workspaceBytes;
    const page = pageBytes(architecture.config, kvSchemes(architecture.config, record));
    const pages = memory.pagesWithin(rest);
    assert.ok(pages >= 24 * largest && pages < 24 * (largest + 1), `${name}: ${largest}`);
    assert.ok(pages * page <= rest && pages * page > rest / 1.125, `${name}: ${pages} pages`);
    found.set(name, largest);
    // Keys and values of 32 layers and 32 heads of 128 in half precision: 512 KiB a token.
    if (name === "f16") assert.equal(page, 64 * 512 * 1024);
  }
  assert.ok(found.get("w4a8kv4")! > 3 * found.get("f16")!);
});

Deno.test("auto runs powers of four and the largest batch; a list runs what fits", () => {
  assert.deepEqual(batchesUpTo(190, "auto"), [1, 4, 16, 64, 190]);
  assert.deepEqual(batchesUpTo(16, "auto"), [1, 4, 16]);
  assert.deepEqual(batchesUpTo(1, "auto"), [1]);
  assert.deepEqual(batchesUpTo(0, "auto"), []);
  assert.deepEqual(batchesUpTo(16, [64, 16, 1, 16]), [1, 16]);
});

Deno.test("benchmark counts every token, says where it was measured, and is no evaluation", async () => {
  await using chain = await StageChain.open();
  const model = chain.embedded();
  const progress: (readonly [number, number])[] = [];
  const report = await chain.run(
    benchmark,
    { models: [model, model] },
    {
      prompt: 70,
      output: 20,
      batch: [1, 3],
      warm_up: 1,
      rounds: 2,
      labels: ["one", "two"],
    },
    { progress: (done, total) => void progress.push([done, total]) },
  );
  const { models, machine, protocol } = await reportOf(report);
  assert.deepEqual(models.map(({ label }) => label), ["one", "two"]);
  assert.ok(machine.device.length > 0 && machine.cores > 0);
  assert.equal(protocol.memoryBytes, 2 ** 28);
  for (const measured of models) {
    assert.deepEqual(measured.batches.map(({ batch }) => batch), [1, 3]);
    for (const { batch, rounds } of measured.batches) {
      assert.equal(rounds.length, 2);
      for (const round of rounds) {
        assert.equal(round.promptTokens, 70 * batch);
        assert.equal(round.generatedTokens, 20 * batch);
        assert.ok(round.prefillSeconds > 0 && round.prefillSeconds < round.seconds);
        assert.equal(round.preemptions, 0);
        // 89 tokens have keys and values in the end: two pages of 64.
        assert.equal(round.pages, 2 * batch);
      }
    }
    // Four layers of two heads of 64, keys and values, two bytes each.
    assert.equal(measured.kvBytesPerToken, 4 * 2 * 2 * 64 * 2);
  }
  const [done, total] = progress.at(-1)!;
  assert.equal(done, total);
  assert.equal(total, 2 * 3 * (1 + 3) * 90);
  assert.ok(progress.every(([done], at) => at === 0 || done >= progress[at - 1]![0]));
  await assert.rejects(readEvaluation(report.path), /expected the report of an evaluate step$/);
  const text = await Deno.readTextFile(`${report.path}/report.md`);
  assert.equal(text.split("\n").filter((line) => /^\| (one|two) \|/.test(line)).length, 2 + 4);
  assert.match(await Deno.readTextFile(`${report.path}/throughput.svg`), /^<svg/);
});

Deno.test("rates are those of the median round: generated tokens by all the time", () => {
  const round = (seconds: number) => ({
    seconds,
    prefillSeconds: 2,
    promptTokens: 400,
    generatedTokens: 120,
    earlyTokens: 20,
    steps: 40,
    pages: 1,
    preemptions: 0,
  });
  const rounds = [round(12), round(4), round(90)];
  const batch = { batch: 4, rounds, pages: 1, pageBytes: 1, device: "some", at: "some day" };
  // 120 in 12 s; 400 in 2 s; 100 in 10 s, 4 at a time.
  assert.deepEqual(ratesOf(batch), { throughput: 10, prefill: 200, decode: 10, tokenMs: 400 });
  const faster = { ...batch, batch: 2, rounds: [round(6)] };
  assert.equal(bestOf({ batches: [batch, faster] })?.batch.batch, 2);
  assert.equal(bestOf({ batches: [] }), undefined);
});

Deno.test("a benchmark that was stopped goes on behind the batches it has", async () => {
  await using chain = await StageChain.open();
  const inputs = { models: [chain.embedded()] };
  const params = { prompt: 8, output: 6, batch: [1, 2], warm_up: 0 };
  const journal = new MemoryJournal();
  const stop = new AbortController();
  const reason = new Error("the user asked to stop");
  const stopped = chain.run(benchmark, inputs, params, {
    journal,
    signal: stop.signal,
    // 14 tokens are the first batch.
    progress: (done) => done > 18 && stop.abort(reason),
  });
  await assert.rejects(stopped, reason);
  assert.deepEqual([...journal.entries.keys()], ["model-0-batch-1"]);
  const kept = deserialize(journal.entries.get("model-0-batch-1")!);
  const report = await chain.run(benchmark, inputs, params, { journal });
  const [one, two] = (await reportOf(report)).models[0]!.batches;
  assert.deepEqual({ device: one!.device, at: one!.at, rounds: one!.rounds }, kept);
  assert.match(
    await Deno.readTextFile(`${report.path}/report.md`),
    /1 of the batches are of a run that was stopped, from 2/,
  );
  const elsewhere = new MemoryJournal();
  elsewhere.entries.set(
    "model-0-batch-1",
    Uint8Array.from(serialize({ ...kept, device: "other" })),
  );
  const [again] =
    (await reportOf(await chain.run(benchmark, inputs, params, { journal: elsewhere }))).models;
  assert.notEqual(again!.batches[0]!.device, "other");
  assert.equal(two!.rounds[0]!.generatedTokens, 12);
});

Deno.test("benchmark leaves out what does not fit, and refuses what cannot be, in a sentence", async () => {
  await using chain = await StageChain.open();
  const model = chain.embedded();
  const models = [model];
  const few = { prompt: 60, output: 4, warm_up: 0 };
  using files = await openModel(model.path);
  const counted = new EngineMemory(CPU_LIMITS, files);
  const all = await planBatch(counted, { prompt: 60, output: 4, memoryBytes: 1e12 }, 200);
  const tight = await chain.run(benchmark, { models }, {
    ...few,
    batch: [1, 200],
    // A sequence of 64 tokens has a page, and there are some for 150.
    memory: all.weightBytes + all.workspaceBytes + 150 * all.pageBytes,
  });
  const [only] = (await reportOf(tight)).models;
  assert.ok(only!.largestBatch >= 1 && only!.largestBatch < 200);
  assert.deepEqual(only!.batches.map(({ batch }) => batch), [1]);
  const refusals: readonly (readonly [object, object, RegExp])[] = [
    [{ models: [] }, few, /there are 0 models and no shape/],
    [{ models }, { ...few, shape: "llama-2-7b" }, /there are 1 models and shape llama-2-7b/],
    [{ models }, { ...few, output: 4000 }, /that is 4060, expected at most 2048/],
    [{ models }, { ...few, memory: 1000 }, /its weights take/],
  ];
  for (const [inputs, params, message] of refusals) {
    const left = await chain.refuses(benchmark, {
      inputs: inputs as { models: [] },
      params,
      message,
    });
    assert.deepEqual(left, []);
  }
});

Deno.test("the forecast of a benchmark is what its device held, and refuses the same", async () => {
  const gpu = await Cpu.open();
  await using chain = await StageChain.open(gpu);
  const params = benchmark.params.parse({ prompt: 200, output: 4, batch: [8], warm_up: 0 });
  const { path } = chain.embedded();
  using checkpoint = await openCheckpoint(path);
  const { config, tensors } = checkpoint;
  const model = {
    config,
    tensors,
    record: PLAIN,
    textBytes: 1e5,
    lineageBytes: 0,
    tokenizer: undefined,
  };
  const bounds = { memoryBytes: 1e9, limits: gpu.limits };
  const forecast = await benchmark.forecast!({ models: [model] }, params, bounds);
  const report = await chain.run(benchmark, { models: [chain.embedded()] }, params);
  const { peak } = gpu.memory;
  assert.equal(forecast.deviceBytes, peak);
  const files = [...Deno.readDirSync(report.path)];
  const bytes = files.reduce(
    (sum, { name }) => sum + Deno.statSync(`${report.path}/${name}`).size,
    0,
  );
  assert.ok(forecast.diskBytes > bytes / 2 && forecast.diskBytes < 2 * bytes, `${bytes}`);
  for (
    const [models, more, message] of [
      [[], {}, /no shape/],
      [[model], { output: 4000 }, /at most 2048/],
    ] as const
  ) {
    const forecast = async () =>
      await benchmark.forecast!({ models }, { ...params, ...more }, bounds);
    await assert.rejects(forecast, message);
  }
});

Deno.test("benchmark makes up a model of a published shape and leaves no weights behind", async () => {
  await using chain = await StageChain.open();
  const params = {
    shape: "smollm2-135m",
    precisions: ["w4a8kv4"],
    prompt: 4,
    output: 2,
    batch: [1],
    warm_up: 0,
    memory: 2 ** 30,
  };
  const report = await chain.run(benchmark, { models: [] }, params);
  const [measured] = (await reportOf(report)).models;
  assert.equal(measured!.label, "W4A8KV4");
  assert.equal(measured!.digest, undefined);
  // 30 layers of 3 heads of 64, keys and values: half a byte each, with an f16 scale and zero a head.
  assert.equal(measured!.kvBytesPerToken, 30 * 3 * 2 * (32 + 4));
  assert.equal(measured!.batches[0]!.rounds[0]!.generatedTokens, 2);
  const left = [...Deno.readDirSync(report.path)].map(({ name }) => name).sort();
  assert.deepEqual(left, ["report.json", "report.md", "throughput.svg"]);
});

Deno.test("a random Gemma has gains of 1, though its checkpoints would hold them as 0", async () => {
  const path = await Deno.makeTempDir();
  try {
    const json = { ...SMALL, architectures: ["Gemma3ForCausalLM"], head_dim: 64 };
    await writeRandomModel(path, randomModel(json, PRECISIONS.f16), { seed: 1 });
    using checkpoint = await openCheckpoint(path);
    const gains = gainsOf(architectureOf(checkpoint.config));
    assert.equal(gains.size, 2 * 6 + 1);
    for (const name of gains) {
      assert.ok((await checkpoint.read(name)).every((gain) => gain === 1), name);
    }
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});
