import { join } from "node:path";
import { V8_FLAGS } from "../../kernels/device/cpu/v8_flags.ts";
import { readHeader } from "../../stages/formats/safetensors/header.ts";
import { EMBEDDED } from "../../stages/models/checkpoint_place.ts";
import { ROOT } from "../support/source_files.ts";
import { type LlamaSizes, writeSparseLlama } from "../support/sparse_llama.ts";

/** Models whose layers are timed, with the layers that the whole of each has. */
const SHAPES: Readonly<Record<string, Omit<LlamaSizes, "layers" | "vocabulary"> & Whole>> = {
  "SmolLM2-135M": { hidden: 576, inner: 1536, heads: 9, kvHeads: 3, group: 64, whole: 30 },
  "Llama-3.2-1B": { hidden: 2048, inner: 8192, heads: 32, kvHeads: 8, group: 128, whole: 16 },
  "Llama-3-8B": { hidden: 4096, inner: 14336, heads: 32, kvHeads: 8, group: 128, whole: 32 },
  "Llama-3-70B": { hidden: 8192, inner: 28672, heads: 64, kvHeads: 8, group: 128, whole: 80 },
};

interface Whole {
  readonly group: number;
  /** Layers of the model that has this shape. */
  readonly whole: number;
}

const [WINDOWS, CONTEXT] = [2, 2048];
const TOKENS = WINDOWS * CONTEXT;

/** Steps that are timed, one process each, in this order. */
const TIMED = ["fp16", "stats", "smoothed", "w4a8", "w4a8kv4", "qoq"];

const manifest = (model: string, group: number) => `
steps:
  source: { stage: load, with: { model: ${JSON.stringify(model)} } }
  text: { stage: tokenize, from: { model: source }, with: { bytes: 40000 } }
  fp16:
    stage: evaluate
    from: { model: source, tokens: text }
    with: { context: ${CONTEXT}, windows: ${WINDOWS} }
  stats:
    stage: calibrate
    from: { model: source, tokens: text }
    with: { windows: ${WINDOWS}, context: ${CONTEXT} }
  smoothed:
    stage: smooth
    from: { model: source, stats: stats }
    with:
      projections: { sites: [down_proj], alpha: 0.3, beta: 0.7 }
      attention: { alpha: 0.5, beta: 0 }
  w4a8:
    stage: quantize
    from: { model: smoothed, stats: stats }
    with:
      method: gptq
      weights: { bits: 4, zero: post_scale, group: ${group}, levels: 2 }
      activations: dynamic
      skips: []
  w4a8kv4: { stage: calibrate_kv, from: { model: w4a8, stats: stats } }
  qoq:
    stage: evaluate
    from: { model: w4a8kv4, tokens: text }
    with: { context: ${CONTEXT}, windows: ${WINDOWS} }
`;

/**
 * Times one layer of random weights of each shape through calibration, smoothing, GPTQ in two-level
 * groups and evaluation of 4,096 tokens, and says what a whole model would take.
 */
export async function benchGrowth(names: readonly string[]): Promise<number> {
  const unknown = names.filter((name) => !(name in SHAPES));
  if (unknown.length > 0) {
    say(`Cannot time ${unknown.join(", ")}: expected some of ${Object.keys(SHAPES).join(", ")}`);
    return 2;
  }
  say(`| layer of | step | s | peak MB | 1e9 operations | 1e9 a second | whole model, s |`);
  say(`|---|---|--:|--:|--:|--:|--:|`);
  for (const name of names.length > 0 ? names : Object.keys(SHAPES)) await timeShape(name);
  return 0;
}

async function timeShape(name: string): Promise<void> {
  const { group, whole, ...shape } = SHAPES[name]!;
  const directory = await Deno.makeTempDir({ prefix: "growth-" });
  try {
    const model = join(directory, "model");
    const sizes = { ...shape, layers: 1, vocabulary: await vocabularySize() };
    await writeRandomLlama(model, sizes);
    await Deno.writeTextFile(join(directory, "growth.yaml"), manifest(model, group));
    for (const step of ["source", "text", ...TIMED]) {
      const { seconds, rss } = await makeStep(directory, step);
      if (!TIMED.includes(step)) continue;
      const counted = OPERATIONS[step]?.(sizes);
      const billions = counted === undefined ? "" : (counted / 1e9).toFixed(0);
      const rate = counted === undefined ? "" : (counted / 1e9 / seconds).toFixed(0);
      const times = [seconds.toFixed(1), (rss / 1e6).toFixed(0), billions, rate];
      say(`| ${[name, step, ...times, (seconds * whole).toFixed(0)].join(" | ")} |`);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Makes one step in a process of its own, and tells what its record has of it. */
async function makeStep(
  directory: string,
  step: string,
): Promise<{ readonly seconds: number; readonly rss: number }> {
  const store = join(directory, "store");
  const flags = `--v8-flags=${V8_FLAGS.join()}`;
  const words = ["growth.yaml", "--only", step, "--store", store, "--json"];
  const args = ["run", "-A", flags, join(ROOT, "mod.ts"), "run", ...words];
  const command = new Deno.Command(Deno.execPath(), { args, cwd: directory, stderr: "inherit" });
  const { success, stdout } = await command.output();
  const events = new TextDecoder().decode(stdout).trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  const done = events.find(({ type }) => type === "done");
  if (!success || !done) {
    throw new Error(`The step ${step} failed: ${JSON.stringify(events.at(-1))}`);
  }
  const record = JSON.parse(await Deno.readTextFile(join(done.path, "artifact.json")));
  return { seconds: record.seconds, rss: record.metrics.rss };
}

/** Multiplications and additions that arithmetic asks for, searches of scales not counted. */
const OPERATIONS: Readonly<Record<string, (sizes: LlamaSizes) => number>> = {
  fp16: (sizes) => forward(sizes) + 2 * TOKENS * sizes.hidden * sizes.vocabulary,
  stats: (sizes) => forward(sizes) + grams(sizes).reduce((sum, n) => sum + TOKENS * n * n, 0),
  // Factor, inverse and factor of the inverse take 2/3 n^3 each.
  w4a8: (sizes) =>
    products(sizes).reduce((sum, [rows, n]) => sum + 2 * rows * n * n, 0) +
    grams(sizes).reduce((sum, n) => sum + 2 * n ** 3, 0),
  qoq: (sizes) => forward(sizes) + 2 * TOKENS * sizes.hidden * sizes.vocabulary,
};

/** Rows and columns of a layer's linears. */
function products({ hidden, inner, heads, kvHeads }: LlamaSizes): (readonly [number, number])[] {
  const kv = kvHeads * hidden / heads;
  return [
    ...[hidden, kv, kv, hidden].map((rows) => [rows, hidden] as const),
    ...[inner, inner].map((rows) => [rows, hidden] as const),
    [hidden, inner],
  ];
}

/** Sizes of the Gram matrices of a layer: inputs of attention, of its output, of the MLP and its output. */
function grams({ hidden, inner }: LlamaSizes): readonly number[] {
  return [hidden, hidden, hidden, inner];
}

function forward(sizes: LlamaSizes): number {
  const linears = products(sizes).reduce((sum, [rows, columns]) => sum + rows * columns, 0);
  return TOKENS * (2 * linears + 2 * CONTEXT * sizes.hidden);
}

async function vocabularySize(): Promise<number> {
  return JSON.parse(await Deno.readTextFile(`${EMBEDDED}/config.json`)).vocab_size;
}

/** A checkpoint of bfloat16 with random weights of 2^-9 to 2^-5, and the embedded model's tokenizer. */
async function writeRandomLlama(directory: string, sizes: LlamaSizes): Promise<void> {
  await Deno.mkdir(directory);
  await writeSparseLlama(directory, sizes);
  for (const file of ["tokenizer.json", "tokenizer_config.json", "generation_config.json"]) {
    await Deno.copyFile(`${EMBEDDED}/${file}`, join(directory, file));
  }
  for await (const { name } of Deno.readDir(directory)) {
    if (name.endsWith(".safetensors")) await fillRandomly(join(directory, name));
  }
}

async function fillRandomly(path: string): Promise<void> {
  const { tensors } = await readHeader(path);
  using file = await Deno.open(path, { write: true });
  let state = 0x9e3779b9;
  for (const { start, end } of tensors.values()) {
    await file.seek(start, Deno.SeekMode.Start);
    for (let at = start; at < end;) {
      const words = new Uint16Array(Math.min((end - at) / 2, 2 ** 22));
      for (let i = 0; i < words.length; i++) {
        // The generator of Marsaglia 2003, section 3: xor with shifts by 13, 17 and 5.
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        words[i] = (state & 0x807f) | (118 + (state >>> 20 & 3)) << 7;
      }
      const bytes = new Uint8Array(words.buffer);
      for (let sent = 0; sent < bytes.length;) sent += await file.write(bytes.subarray(sent));
      at += bytes.length;
    }
  }
}

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}
