/**
 * Times llama.cpp as the `benchmark` stage times our engine: a batch of random prompts, from the
 * first to the last token, none of which ends an answer. For Node, with node-llama-cpp somewhere:
 *
 * node tests/bench/llama.mjs MODEL.gguf --modules DIR [--gpu vulkan|false] [--batch 1,4,16]
 * [--prompt 128] [--output 64] [--warm-up 1] [--rounds 3] [--threads N] [--kv F16|Q4_0|Q8_0] [--json]
 *
 * The Vulkan build leaves software adapters out unless told: VK_ICD_FILENAMES names the driver's
 * file, GGML_VK_VISIBLE_DEVICES=0 takes it whatever it is.
 */
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values, positionals: [path] } = parseArgs({
  allowPositionals: true,
  options: {
    modules: { type: "string", default: "." },
    gpu: { type: "string", default: "false" },
    batch: { type: "string", default: "1,4,16" },
    prompt: { type: "string", default: "128" },
    output: { type: "string", default: "64" },
    "warm-up": { type: "string", default: "1" },
    rounds: { type: "string", default: "3" },
    threads: { type: "string", default: String(availableParallelism()) },
    kv: { type: "string", default: "F16" },
    json: { type: "boolean", default: false },
  },
});
const number = (key) => Number(values[key]);
const [prompt, output, warmUp, rounds] = ["prompt", "output", "warm-up", "rounds"].map(number);
const threads = number("threads");

const entry = join(values.modules, "node_modules/node-llama-cpp/dist/index.js");
const { getLlama } = await import(pathToFileURL(entry).href);
const gpu = values.gpu === "false" ? false : values.gpu;
const llama = await getLlama({ gpu, build: "never", logLevel: "error", maxThreads: threads });
const loadBefore = loadavg()[0];
const model = await llama.loadModel({
  modelPath: path,
  ...gpu && { gpuLayers: "max" },
});
const results = [];
for (const batch of values.batch.split(",").map(Number)) {
  const measured = [];
  for (let round = 0; round < warmUp + rounds; round++) {
    const one = await runRound(batch);
    if (round >= warmUp) measured.push(one);
  }
  measured.sort((a, b) => b.seconds - a.seconds);
  const { seconds, prefill, early } = measured[Math.floor((measured.length - 1) / 2)];
  results.push({
    batch,
    throughput: batch * output / seconds,
    prefill: batch * prompt / prefill,
    decode: (batch * output - early) / (seconds - prefill),
    spread: measured[0].seconds / measured.at(-1).seconds,
  });
}
const about = {
  engine: "llama.cpp",
  gpu: llama.gpu,
  devices: await llama.getGpuDeviceNames(),
  model: path,
  kv: values.kv,
  threads,
  prompt,
  output,
  loadBefore,
};
const lines = values.json ? [JSON.stringify({ ...about, results }, undefined, 2)] : [
  `llama.cpp, ${
    about.gpu || "CPU"
  } ${about.devices.join()}, ${threads} threads, KV ${values.kv}; load ${
    loadBefore.toFixed(1)
  } before`,
  "batch  tokens/s  prefill tok/s  decode tok/s  slowest/fastest",
  ...results.map(({ batch, throughput, prefill, decode, spread }) =>
    [[batch, 5, 0], [throughput, 10, 1], [prefill, 15, 0], [decode, 14, 1], [spread, 17, 2]]
      .map(([value, width, digits]) => value.toFixed(digits).padStart(width)).join("")
  ),
];
process.stdout.write(`${lines.join("\n")}\n`);
await llama.dispose();
process.exit(0);

/** A batch in a context of its own; seconds, and tokens there before all have begun. */
async function runRound(batch) {
  const context = await model.createContext({
    sequences: batch,
    contextSize: prompt + output + 8,
    batchSize: Math.max(512, batch),
    threads: { ideal: threads, min: threads },
    experimentalKvCacheKeyType: values.kv,
    experimentalKvCacheValueType: values.kv,
  });
  const sequences = Array.from({ length: batch }, () => context.getSequence());
  const ids = sequences.map((_, index) => randomIds(index));
  let [generated, begun, prefill, early] = [0, 0, 0, 0];
  const start = performance.now();
  await Promise.all(sequences.map(async (sequence, index) => {
    let count = 0;
    const options = { temperature: 0, yieldEogToken: true };
    for await (const _ of sequence.evaluate(ids[index], options)) {
      generated++;
      if (++count === 1 && ++begun === batch) {
        prefill = performance.now() - start;
        early = generated;
      }
      if (count === output) break;
    }
  }));
  const seconds = (performance.now() - start) / 1000;
  await context.dispose();
  if (generated !== batch * output) {
    throw new Error(`Cannot time a batch of ${batch}: it made ${generated} tokens`);
  }
  return { seconds, prefill: prefill / 1000, early };
}

/** Ids that are not special, different ones for each sequence (xorshift). */
function randomIds(index) {
  let state = (index + 1) * 2654435761 >>> 0;
  return Array.from({ length: prompt }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ state << 5) >>> 0;
    return 100 + state % 10_000;
  });
}
