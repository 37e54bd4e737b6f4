// Slow: runs every stage and compares what it held and wrote with its forecast.
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Manifest } from "../../pipeline/manifest/manifest.ts";
import { parseManifest } from "../../pipeline/manifest/read_manifest.ts";
import type { Bounds } from "../../pipeline/plan/preflight.ts";
import { plan } from "../../pipeline/plan/plan.ts";
import { Store } from "../../pipeline/store/store.ts";
import { freeOnNvidia } from "../../stages/bounds.ts";
import { factsOf } from "../../stages/facts.ts";
import * as stages from "../../stages/mod.ts";
import { openTools } from "../../stages/tools.ts";
import {
  assertBound,
  assertForecast,
  forecasts,
  measure,
  type PeakBytes,
} from "../support/forecast_check.ts";
import { type Entry, ggufBytes } from "../support/gguf_file.ts";
import { writeSparseLlama } from "../support/sparse_llama.ts";
import { FAMILIES, smoothable } from "../support/stage_chain.ts";

const FAMILY_FOLDER = fileURLToPath(new URL("../testdata/families", import.meta.url));
const GB = 1e9;

/** Every stage, and every kind of input where a stage has several. */
const EMBEDDED = `
steps:
  source: { stage: load }
  text: { stage: tokenize, from: { model: source }, with: { bytes: 20000 } }
  fp16:
    stage: evaluate
    from: { model: source, tokens: text }
    with: { context: 64, windows: 4, keep_hidden: true }
  rotated: { stage: rotate, from: { model: source }, with: { transforms: [out_proj, down_proj] } }
  stats:
    stage: calibrate
    from: { model: source, tokens: text }
    with: { windows: 3, context: 64, rows: 40, attention_windows: 2 }
  learned:
    stage: learn_rotation
    from: { model: source, tokens: text }
    with: { steps: 2, batch: 2, context: 64 }
  spread:
    stage: learn_rotation
    from: { model: source, stats: stats }
    with: { method: kurtosis, steps: 2 }
  reordered:
    stage: reorder
    from: { model: source, stats: stats }
    with: { sites: [residual, out_proj, down_proj] }
  folded: { stage: fold, from: { model: reordered } }
  smoothed:
    stage: smooth
    from: { model: reordered, stats: stats }
    with: { projections: { sites: [out_proj, down_proj] }, attention: { alpha: 0.5 } }
  w4a8:
    stage: quantize
    from: { model: smoothed, stats: stats }
    with: { weights: { group: 64, levels: 2 }, uneven_group: shrink, activations: dynamic }
  rtn:
    stage: quantize
    from: { model: rotated }
    with: { method: rtn, weights: { group: 32, zero: pre_scale }, skips: [out_proj] }
  w4a8kv4: { stage: calibrate_kv, from: { model: w4a8, stats: stats } }
  quantized:
    stage: evaluate
    from: { model: w4a8kv4, tokens: text, baseline: fp16, baseline_model: source }
    with: { context: 64, windows: 4 }
  report:
    stage: compare
    from: { reports: [fp16, quantized] }
  story:
    stage: generate
    from: { models: [source, w4a8kv4] }
    with: { prompts: [Once there was, They had a black donkey and a], tokens: 8 }
  deployed:
    stage: serve
    from: { model: w4a8kv4, baseline: source, reports: [quantized] }
    with: { context: 128, sequences: 2, answer_tokens: 8, timed: { prompt: 16, output: 4 } }
`;

/** Searches, and quantization that runs the model. */
const SEARCHES = `
steps:
  source: { stage: load }
  text: { stage: tokenize, from: { model: source }, with: { bytes: 20000 } }
  stats:
    stage: calibrate
    from: { model: source, tokens: text }
    with: { windows: 2, context: 64, rows: 40 }
  ordered:
    stage: reorder
    from: { model: source, stats: stats }
    with: { sites: [down_proj], strategy: grid, weights: { group: 64 } }
  scaled:
    stage: smooth
    from: { model: source, stats: stats }
    with:
      projections: { strategy: grid, grids: 2, weights: { group: 64 }, uneven_group: shrink }
      attention: { strategy: grid, grids: 2, kv: { group: 64 } }
  chained:
    stage: quantize
    from: { model: source, stats: stats, tokens: text }
    with: { weights: { group: row }, inputs: quantized, windows: 2, context: 64 }
  shifted:
    stage: quantize
    from: { model: source, tokens: text }
    with: { weights: { group: row }, inputs: quantized, shift: {}, windows: 2, context: 64 }
`;

/** Heads in codes: of one that was tied, and of a baseline. */
const HEADS = `
steps:
  source: { stage: load }
  text: { stage: tokenize, from: { model: source }, with: { bytes: 20000 } }
  w8a8:
    stage: quantize
    from: { model: source }
    with:
      method: rtn
      weights: { bits: 8, zero: none, group: row }
      activations: dynamic
      head: w8a8
  w4a16:
    stage: quantize
    from: { model: source }
    with: { method: rtn, weights: { group: 32 }, head: w8a16 }
  eight:
    stage: evaluate
    from: { model: w8a8, tokens: text }
    with: { context: 64, windows: 4, keep_hidden: true }
  four:
    stage: evaluate
    from: { model: w4a16, tokens: text, baseline: eight, baseline_model: w8a8 }
    with: { context: 64, windows: 4 }
`;

/** Channels that are ordered while the model runs, keys before their positions, codes of inputs, outliers. */
const ATOM = `
steps:
  source: { stage: load }
  text: { stage: tokenize, from: { model: source }, with: { bytes: 20000 } }
  stats:
    stage: calibrate
    from: { model: source, tokens: text }
    with: { windows: 2, context: 64, gram: false, rows: 0 }
  ordered:
    stage: reorder
    from: { model: source, stats: stats }
    with: { online: [qkv_proj, out_proj, up_proj], metric: inputs_rms }
  kv4:
    stage: calibrate_kv
    from: { model: ordered, stats: stats }
    with: { zero: pre_scale, before_rope: true }
  w4a4:
    stage: quantize
    from: { model: kv4, tokens: text }
    with:
      weights: { group: 128, zero: none, full: true, outlier_bits: 8 }
      activations: { bits: 4, clip: 0.9, group: 128 }
      gptq: { activation_order: false, static_groups: false }
      shared_rows: 2
      inputs: codes
      windows: 2
      context: 64
  scored:
    stage: evaluate
    from: { model: w4a4, tokens: text }
    with: { context: 64, windows: 4 }
`;

function parse(text: string, set: readonly string[] = []): Manifest {
  return parseManifest(text, { path: "manifest.yaml", stages, set });
}

function near(got: number, expected: number, share: number, what: string): void {
  const off = got / expected - 1;
  ok(Math.abs(off) <= share, `${what}: ${got} is ${(100 * off).toFixed(2)} % off ${expected}`);
}

async function withStore(test: (store: Store, directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await test(new Store(`${directory}/store`), directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Compares the forecasts of a manifest's steps with what they take, and gives both. */
async function compare(manifest: Manifest, store: Store) {
  const before = await forecasts(manifest, store);
  const measurement = await measure(manifest, store);
  assertForecast(before, measurement);
  return { before, disk: measurement.disk };
}

Deno.test("heads in codes hold the device memory that was counted", () =>
  withStore(async (store) => {
    await compare(parse(HEADS), store);
  }));

Deno.test("Atom's steps take what was forecast", () =>
  withStore(async (store) => {
    await compare(parse(ATOM), store);
  }));

Deno.test("searches hold the device memory that was counted", () =>
  withStore(async (store) => void await compare(parse(SEARCHES), store)));

Deno.test("steps hold the device memory that was counted, and files stay within their bounds", () =>
  withStore(async (store) => {
    const manifest = parse(EMBEDDED);
    const { before, disk } = await compare(manifest, store);
    strictEqual(before.size, manifest.steps.length);
    // Each step again on its own, from the facts of artifacts instead of those of forecasts.
    for (const { name } of manifest.steps) {
      const found = (await forecasts(manifest, store, new Set([name]))).get(name)!;
      strictEqual(found.deviceBytes, before.get(name)!.deviceBytes, `device of ${name} alone`);
      assertBound(found.diskBytes, disk.get(name)!, `disk of ${name} alone`);
    }
  }));

for (const family of FAMILIES) {
  // Where layers read the residual stream as it is, there is nothing to fold.
  const folds = (await smoothable(family)).length === 4;
  const words = folds ? "as loaded, as rotated and as folded" : "as loaded and as rotated";
  Deno.test(`the sizes of ${family} are forecast ${words}`, () =>
    withStore(async (store) => {
      const manifest = parse(`
steps:
  source: { stage: load, with: { model: ${FAMILY_FOLDER}/${family}, dtype: float32 } }
  half: { stage: load, with: { model: ${FAMILY_FOLDER}/${family} } }
  rotated: { stage: rotate, from: { model: source } }
  ${folds ? "folded: { stage: fold, from: { model: source } }" : ""}
`);
      await compare(manifest, store);
    }));
}

Deno.test("a GGUF file is forecast as it will be loaded", () =>
  withStore(async (store, directory) => {
    const path = `${directory}/tiny.gguf`;
    await Deno.writeFile(path, tinyGguf());
    const manifest = parse(`steps: { source: { stage: load, with: { model: ${path} } } }`);
    await compare(manifest, store);
  }));

/** Sizes of Llama 3 70B, as its config.json has them. */
const SEVENTY = {
  hidden: 8192,
  inner: 28672,
  layers: 80,
  heads: 64,
  kvHeads: 8,
  vocabulary: 128256,
};

Deno.test("a model of 70 billion parameters is forecast from headers, without walking over weights", () =>
  withStore(async (store, directory) => {
    await Deno.mkdir(`${directory}/model`);
    await writeSparseLlama(`${directory}/model`, SEVENTY);
    await Deno.writeTextFile(`${directory}/text.txt`, "word ".repeat(200_000));
    const manifest = parse(`
steps:
  source: { stage: load, with: { model: ${directory}/model } }
  text: { stage: tokenize, from: { model: source }, with: { text: ${directory}/text.txt } }
  stats:
    stage: calibrate
    from: { model: source, tokens: text }
    with: { windows: 128, context: 1024 }
  w4:
    stage: quantize
    from: { model: source, stats: stats }
    with: { weights: { group: 128 } }
  score:
    stage: evaluate
    from: { model: w4, tokens: text }
    with: { context: 2048, windows: 16 }
`);
    // What is read outside the store has no content to hash here, but for a hole of 141 GB.
    const unread = Object.fromEntries(
      Object.entries(stages).map(([name, { fingerprint: _, ...stage }]) => [name, stage]),
    );
    const look = async (bounds: Partial<Bounds>) => {
      const before = process.cpuUsage();
      const { steps } = await plan(manifest, {
        store,
        stages: unread,
        facts: factsOf,
        bounds: () => ({
          memoryBytes: 64 * GB,
          hostBytes: 128 * GB,
          deviceBytes: 80 * GB,
          diskBytes: 2000 * GB,
          ...bounds,
        }),
      });
      const { user, system } = process.cpuUsage(before);
      // Of the processor, so that it does not matter what else the machine does.
      const seconds = (user + system) / 1e6;
      return { seconds, rows: new Map(steps.map((row) => [row.name, row])) };
    };
    const ample = await look({});
    // As many values would take minutes.
    ok(ample.seconds < 10, `it took ${ample.seconds} s`);
    deepStrictEqual([...ample.rows.values()].map(({ state }) => state), [
      "run",
      ...Array<string>(4).fill("run?"),
    ]);
    const of = (name: string) => ample.rows.get(name)!.forecast!;
    // 70,553,706,496 parameters are published; vectors, 161 * 8,192 of them, take four bytes.
    near(of("source").diskBytes, 2 * 70_553_706_496 + 2 * 161 * 8192, 1e-6, "loaded");
    // Per layer three Gram matrices of 8,192 and one of 28,672, 512 rows of each of their inputs,
    // and two windows of queries, keys and values.
    const layer = 4 * (3 * 8192 ** 2 + 28672 ** 2) + 4 * 512 * (3 * 8192 + 28672) +
      4 * 2 * 1024 * (8192 + 2 * 1024);
    near(of("stats").diskBytes, 80 * layer, 1e-3, "stats");
    // 68,451,041,280 weights in linears: half a byte each, and two f16 for every 128 of them.
    const linears = 80 * (2 * 8192 ** 2 + 2 * 1024 * 8192 + 3 * 8192 * 28672);
    const rest = 2 * 2 * 128256 * 8192;
    near(of("w4").diskBytes, linears * (0.5 + 4 / 128) + rest, 1e-3, "quantized");
    // Embeddings, a layer of float16, its four Gram matrices and the streams of 128 windows.
    const streams = 128 * 1024 * 8192 * 4 * 2;
    const weights = 2 * 128256 * 8192 + 2 * linears / 80;
    const grams = 4 * (3 * 8192 ** 2 + 28672 ** 2);
    near(of("stats").deviceBytes, streams + weights + grams, 0.15, "device of stats");
    // The host has the zeros that Gram matrices begin with on their way to the device, later pieces of them; of
    // a model that is loaded 64 MB of values at a time.
    const host = of("stats").hostBytes;
    ok(host > grams && host < 2 * layer, `${host} bytes on the host for stats`);
    ok(of("source").hostBytes > 2 ** 26 && of("source").hostBytes < GB / 2);
    // GPTQ holds a site's Gram matrix and its factor, and sites of other sizes leave theirs.
    ok(of("w4").deviceBytes > 2 * 4 * 28672 ** 2);

    // Of a machine with 24 GB, whose device is its processor, a layer at work takes less than it has.
    const modest = await look({ memoryBytes: 12 * GB, hostBytes: 24 * GB, deviceBytes: 24 * GB });
    for (const name of ["stats", "w4", "score"]) {
      const { hostBytes, deviceBytes } = modest.rows.get(name)!.forecast!;
      ok(hostBytes + deviceBytes < 22 * GB, `${name}: ${hostBytes} and ${deviceBytes} bytes`);
    }

    const small = await look({ deviceBytes: 8 * GB });
    match(
      small.rows.get("stats")!.reason,
      /^Cannot fit step "stats" on the device: it takes 1\d GB at its peak, expected at most 8\.0 GB/,
    );
    strictEqual(small.rows.get("source")!.state, "run", "loading needs no device");
    strictEqual(small.rows.get("score")!.state, "blocked");
    const full = await look({ diskBytes: 100 * GB });
    match(full.rows.get("source")!.reason, /on the disk: it writes 141 GB and 100 GB are free/);
  }));

Deno.test("texts are counted by samples, whatever file they come in", () =>
  withStore(async (store, directory) => {
    const words = Array.from(
      { length: 6000 },
      (_, i) => `${i % 7 === 0 ? "The" : "a"} fox ${i % 97}`,
    );
    const rows = words.map((text, i) => JSON.stringify({ id: i, text, source: "a fable" }));
    await Deno.writeTextFile(`${directory}/a.txt`, words.join("\n"));
    await Deno.writeTextFile(`${directory}/a.jsonl`, rows.join("\n"));
    await Deno.writeTextFile(`${directory}/short.txt`, "Once upon a time.");
    const names = ["a.txt", "a.jsonl", "short.txt"];
    const steps = names.map((name, i) =>
      `  t${i}: { stage: tokenize, from: { model: m }, with: { text: ${directory}/${name} } }`
    );
    const manifest = parse(`steps:\n  m: { stage: load }\n${steps.join("\n")}`);
    const before = await forecasts(manifest, store);
    const { disk } = await measure(manifest, store);
    names.forEach((name, i) => {
      near(before.get(`t${i}`)!.diskBytes, disk.get(`t${i}`)!, 0.03, name);
    });
  }));

Deno.test("a group that does not divide the columns is refused before any work", async () => {
  const manifest = parse(`
steps:
  m: { stage: load }
  q: { stage: quantize, from: { model: m }, with: { method: rtn, weights: { group: 80 } } }
`);
  await withStore(async (store) => {
    const { steps, faults } = await plan(manifest, { store, stages, facts: factsOf });
    deepStrictEqual(steps.map(({ state }) => state), ["run", "blocked"]);
    match(String(faults.get("q")), /Cannot quantize ".*" in groups of 80: it has \d+ columns/);
  });
});

/** A step as `plan --json` has it. */
interface Planned {
  readonly name: string;
  readonly forecast: PeakBytes;
}

Deno.test("`plan --json` has the forecasts, and `run --memory` refuses what needs more", async () => {
  await withStore(async ({ path }) => {
    const config = fileURLToPath(new URL("../../configs/fp16.yaml", import.meta.url));
    const main = fileURLToPath(new URL("../../mod.ts", import.meta.url));
    const start = async (...args: string[]) => {
      const { code, stdout } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", main, ...args, config, "--json", "--store", path],
      }).output();
      const lines = new TextDecoder().decode(stdout).trim().split("\n");
      return { code, events: lines.map((line) => JSON.parse(line)) };
    };
    const planned = await start("plan");
    strictEqual(planned.code, 0);
    const [{ machine, steps }] = planned.events;
    strictEqual(machine, await openTools({}).machine());
    for (const { name, forecast } of steps) {
      const keys = Object.keys(forecast).sort();
      deepStrictEqual(keys, ["deviceBytes", "diskBytes", "hostBytes"], name);
    }
    const needs = new Map<string, number>(
      steps.map(({ name, forecast: { deviceBytes, hostBytes } }: Planned) =>
        [name, deviceBytes + hostBytes] as const
      ),
    );
    const most = Math.floor(needs.get("quality")! / 1e6) - 1;
    const refused = await start("run", "--memory", `${most}MB`);
    strictEqual(refused.code, 1);
    const failed: { readonly step: string; readonly message: string }[] = refused.events
      .filter(({ type }) => type === "failed");
    const beyond = [...needs].flatMap(([name, bytes]) => bytes > most * 1e6 ? name : []);
    deepStrictEqual(failed.map(({ step }) => step), beyond);
    const words = `^Cannot fit step "quality" in memory: .* expected at most ${most} MB;`;
    match(failed.find(({ step }) => step === "quality")!.message, new RegExp(words));
    ok(refused.events.every(({ type }) => type !== "start"), "something was begun");
  });
});

Deno.test("the free memory of a device is read from what nvidia-smi prints", () => {
  const lines = "NVIDIA A100, 1000\nNVIDIA H100 PCIe, 79647\nNVIDIA H100 PCIe, 512\n";
  strictEqual(freeOnNvidia(lines, "NVIDIA H100 PCIe"), 79647 * 2 ** 20);
  strictEqual(freeOnNvidia(lines, "NVIDIA T4"), undefined);
  strictEqual(freeOnNvidia("NVIDIA T4, [N/A]\n", "NVIDIA T4"), undefined);
});

/** A llama of one layer with weights in blocks of eight bits, and no tokenizer. */
function tinyGguf(): Uint8Array<ArrayBuffer> {
  const metadata: Record<string, Entry> = {
    "general.architecture": { text: "llama" },
    "llama.embedding_length": { u32: 64 },
    "llama.feed_forward_length": { u32: 96 },
    "llama.block_count": { u32: 1 },
    "llama.attention.head_count": { u32: 2 },
    "llama.attention.head_count_kv": { u32: 1 },
    "llama.context_length": { u32: 128 },
    "llama.attention.layer_norm_rms_epsilon": { f32: 1e-5 },
  };
  // Q8_0: 34 bytes for 32 values.
  const matrix = (name: string, rows: number, columns: number) => ({
    name,
    shape: [rows, columns],
    type: 8,
    bytes: new Uint8Array(rows * columns / 32 * 34),
  });
  const vector = (name: string) =>
    ({ name, shape: [64], type: 0, bytes: new Uint8Array(4 * 64) }) as const;
  return ggufBytes({
    metadata,
    tensors: [
      matrix("token_embd.weight", 40, 64),
      vector("blk.0.attn_norm.weight"),
      matrix("blk.0.attn_q.weight", 64, 64),
      matrix("blk.0.attn_k.weight", 32, 64),
      matrix("blk.0.attn_v.weight", 32, 64),
      matrix("blk.0.attn_output.weight", 64, 64),
      vector("blk.0.ffn_norm.weight"),
      matrix("blk.0.ffn_gate.weight", 96, 64),
      matrix("blk.0.ffn_up.weight", 96, 64),
      matrix("blk.0.ffn_down.weight", 64, 96),
      vector("output_norm.weight"),
      matrix("output.weight", 40, 64),
    ],
  });
}
