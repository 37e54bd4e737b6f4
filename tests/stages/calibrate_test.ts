import { strict as assert } from "node:assert";
import { globSync } from "node:fs";
import { basename, dirname } from "node:path";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import { ReferenceDevice } from "../../kernels/device/reference.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { attention } from "../../kernels/mod.ts";
import type { Artifact } from "../../pipeline/artifact.ts";
import { calibrate } from "../../stages/calibrate.ts";
import { layerFile, openStats } from "../../stages/calibration/stats.ts";
import { attentionScale } from "../../stages/models/rope.ts";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import { openSafetensors } from "../../stages/formats/safetensors/file.ts";
import type { Feeder, LinearOutline } from "../../stages/models/site.ts";
import type { Checkpoint } from "../../stages/formats/checkpoint.ts";
import { attentionOptions } from "../../stages/models/attend.ts";
import type { DecoderConfig } from "../../stages/models/config.ts";
import { describeStats } from "../../stages/describe/stats.ts";
import { architectureOf, openModel } from "../../stages/models/architecture.ts";
import { applyHadamard, hadamardFactor } from "../../stages/quant/hadamard.ts";
import { rotate } from "../../stages/rotate.ts";
import { relativeError } from "../support/forward_pass.ts";
import { FAMILIES, StageChain } from "../support/stage_chain.ts";

const SITES = ["attention.in", "attention.out", "mlp.in", "mlp.out"];
const TAPS = ["queries", "keys", "values"].map((tap) => `attention.${tap}`);
const [LAYERS, TOKENS, CONTEXT] = [2, 64, 32];
const ALL = { rows: TOKENS, gram: true };

for (const family of FAMILIES) {
  Deno.test(`statistics of ${family} are those of the activations that are kept`, async () => {
    await using chain = await StageChain.open();
    const model = chain.family(family);
    const stats = await chain.calibrate(model, ALL);
    using files = await openModel(model.path);
    const { architecture: { layers } } = files;
    for (let layer = 0; layer < LAYERS; layer++) {
      const seen = await layerOf(stats, layer);
      for (const { role: site, expert } of layers[layer]!.sites) {
        if (expert !== undefined) continue;
        const rows = seen.get(`${site}.rows`)!;
        assert.equal(rows.length % TOKENS, 0);
        checkMagnitudes(seen, site, rows);
        near(seen.get(`${site}.gram`)!, gramOf(rows), 1e-6, `Gram matrix of ${site}`);
      }
      for (const tap of TAPS) {
        const windows = [0, 1].map((window) => seen.get(`${tap}.${window}`)!);
        checkMagnitudes(seen, tap, Float32Array.from(windows.flatMap((values) => [...values])));
      }
    }
  });

  Deno.test(`activations kept of ${family} are what its weights make of one another`, async () => {
    await using chain = await StageChain.open();
    const model = chain.family(family);
    const stats = await chain.calibrate(model, ALL);
    using checkpoint = await openCheckpoint(model.path);
    const { config, layers } = architectureOf(checkpoint.config);
    const { heads, kvHeads, headSize } = config;
    for (let layer = 0; layer < LAYERS; layer++) {
      const seen = await layerOf(stats, layer);
      const windowsOf = (tap: string) => [0, 1].map((window) => seen.get(`${tap}.${window}`)!);
      const apply = (role: "q" | "k" | "v" | "gate" | "up", site: string) =>
        linearOf(checkpoint, layers[layer]!.linear(role), seen.get(`${site}.rows`)!);
      const values = windowsOf("attention.values");
      near(joined(values), await apply("v", "attention.in"), 1e-4, "values");
      // Rotary embedding turns queries and keys and leaves their lengths, but for a scale of what turns.
      const lengths = (keys: Float32Array) => lengthsOf(keys, headSize);
      const rope = config.ropes[config.ropeOf[layer]!]!;
      const unscaled = (keys: Float32Array) =>
        keys.map((key, i) => i % headSize < rope.channels ? key / attentionScale(rope) : key);
      const made = async (role: "q" | "k") => {
        const heads = await apply(role, "attention.in");
        const { fedBy } = layers[layer]!.taps[role === "q" ? "queries" : "keys"];
        if (fedBy.kind !== "norm") return lengths(heads);
        const size = config.queryKeyNorms === "row" ? fedBy.channels : headSize;
        return lengths(await normalized(heads, { checkpoint, config, fedBy, size }));
      };
      const keys = windowsOf("attention.keys");
      near(lengths(unscaled(joined(keys))), await made("k"), 1e-4, "keys");
      const queries = windowsOf("attention.queries");
      near(lengths(unscaled(joined(queries))), await made("q"), 1e-4, "queries");
      const mixed = queries.map((q, at) => {
        const tensor = (data: Float32Array, count: number) => f32([CONTEXT, count, headSize], data);
        const sequence = {
          q: tensor(q, heads),
          k: tensor(keys[at]!, kvHeads),
          v: tensor(values[at]!, kvHeads),
        };
        const { y } = attention.reference(sequence, attentionOptions(config, layer));
        return y.data as Float32Array;
      });
      near(seen.get("attention.out.rows")!, joined(mixed), 1e-4, "attention");
      const { sites, site } = layers[layer]!;
      const before = site("mlp.in");
      const input = seen.get("mlp.in.rows")!;
      const chosen = before.routers && await routed(checkpoint, before.routers[0]!, config, input);
      for (const { role, expert } of sites) {
        if (role !== "mlp.out") continue;
        const [gate, up] = before.linears.filter((linear) => linear.expert === expert);
        const rows = expert === undefined ? input : rowsOf(input, config.hidden, chosen![expert]!);
        const tap = expert === undefined ? "mlp.out" : `mlp.out.expert_${expert}`;
        const inner = gated(
          await linearOf(checkpoint, gate!, rows),
          await linearOf(checkpoint, up!, rows),
          config,
        );
        if (expert !== undefined) {
          const count = chosen![expert]!.length;
          const own = `mlp.in.expert_${expert}`;
          assert.equal(seen.get(`${own}.tokens`)![0], count, own);
          assert.equal(seen.get(`${tap}.tokens`)![0], count, tap);
          checkMagnitudes(seen, tap, seen.get(`${tap}.rows`) ?? new Float32Array(0), count);
          if (count === 0) {
            for (const name of [own, tap]) {
              assert.ok(seen.get(`${name}.gram`)!.every((x) => x === 0));
            }
            continue;
          }
          near(seen.get(`${own}.gram`)!, gramOf(rows, count), 1e-4, `Gram matrix of ${own}`);
          near(seen.get(`${tap}.gram`)!, gramOf(inner, count), 1e-4, `Gram matrix of ${tap}`);
        }
        near(seen.get(`${tap}.rows`)!, inner, 1e-4, tap);
      }
    }
    const first = await layerOf(stats, 0);
    near(first.get("attention.in.rows")!, await normalizedEmbeddings(chain, model), 1e-4, "norm");
  });
}

Deno.test("rows are kept evenly over all tokens, and none where none are asked for", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("qwen2_tied");
  const all = await layerOf(await chain.calibrate(model, ALL), 1);
  const few = await layerOf(await chain.calibrate(model, { rows: 5 }), 1);
  const none = await layerOf(await chain.calibrate(model, { rows: 0, attention_windows: 0 }), 1);
  for (const site of SITES) {
    const rows = all.get(`${site}.rows`)!;
    const columns = rows.length / TOKENS;
    // The middles of five parts of 64 tokens, 12.8 long.
    const expected = [6, 19, 32, 44, 57]
      .flatMap((row) => [...rows.subarray(row * columns, (row + 1) * columns)]);
    assert.deepEqual([...few.get(`${site}.rows`)!], expected);
    assert.ok(!few.has(`${site}.gram`));
    assert.ok(!none.has(`${site}.rows`));
  }
  assert.deepEqual([...none.keys()].filter((name) => /\.\d$/.test(name)), []);
});

Deno.test("streams spilled to disk change no byte, and leave no file", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_llama3_gqa_tied");
  const root = dirname(await chain.directory());
  const spills = () => globSync(`${root}/*/streams/*`).map((path) => basename(path));
  const seen = new Set<string>();
  const look = {
    progress() {
      for (const name of spills()) seen.add(name);
    },
  };
  const held = await chain.calibrate(model, ALL, look);
  assert.deepEqual([...seen], []);
  const spilled = await chain.calibrate(model, ALL, { ...look, memoryBytes: 1 });
  assert.deepEqual([...seen].sort(), ["0", "1"]);
  assert.deepEqual(globSync(`${root}/*/streams`), []);
  for (let layer = 0; layer < LAYERS; layer++) {
    const bytes = ({ path }: Artifact) => Deno.readFile(`${path}/${layerFile(layer)}`);
    assert.deepEqual(await bytes(spilled), await bytes(held));
  }
  await assertStops(chain, { model, memoryBytes: 1 });
  assert.deepEqual(globSync(`${root}/*/streams`), []);
});

Deno.test("calibrate stops when asked to, and leaves no tensor on the device", async () => {
  // The chain's device throws at its end where a tensor is left.
  await using chain = await StageChain.open();
  await assertStops(chain, { model: chain.family("mistral_window") });
});

Deno.test("the host's references, a GPU and the CPU engine see the same", async () => {
  const found = [];
  for (
    const open of [() => new ReferenceDevice(), () => Gpu.open(), () => Cpu.open()]
  ) {
    await using chain = await StageChain.open(await open());
    const stats = await chain.calibrate(chain.family("qwen2_untied"), ALL);
    found.push([await layerOf(stats, 0), await layerOf(stats, 1)]);
  }
  const [expected, ...others] = found;
  for (const layers of others) {
    layers.forEach((seen, layer) => {
      assert.deepEqual([...seen.keys()], [...expected![layer]!.keys()]);
      for (const [name, values] of seen) near(values, expected![layer]!.get(name)!, 1e-5, name);
    });
  }
});

Deno.test("a text that is too short is refused with the numbers", async () => {
  await using chain = await StageChain.open();
  const inputs = { model: chain.family("qwen2_tied"), tokens: await chain.tokens(64) };
  const left = await chain.refuses(calibrate, {
    inputs,
    params: { windows: 3, context: 32 },
    message: /3 windows of 32 tokens: the text has 64 tokens, expected at least 96; lower windows/,
  });
  assert.deepEqual(left, []);
});

Deno.test("the first token before every sample gives the statistics of a text that has it there", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("gemma3_window_tied");
  const plain = await chain.tokens(2 * CONTEXT - 2);
  const ids = new Uint32Array((await Deno.readFile(`${plain.path}/tokens.u32`)).buffer);
  const begun = { ...plain, digest: "begun", path: await chain.directory() };
  const samples = [0, 1].map((at) => ids.subarray(at * (CONTEXT - 1), (at + 1) * (CONTEXT - 1)));
  // What its config.json says is the first token.
  const text = Uint32Array.from(samples.flatMap((sample) => [2, ...sample]));
  await Deno.writeFile(`${begun.path}/tokens.u32`, new Uint8Array(text.buffer));
  const params = { ...ALL, windows: 2, context: CONTEXT, attention_windows: 2 };
  const put = await chain.run(calibrate, { model, tokens: plain }, { ...params, bos: "window" });
  const had = await chain.run(calibrate, { model, tokens: begun }, params);
  for (const layer of [0, 5]) {
    const bytes = ({ path }: Artifact) => Deno.readFile(`${path}/${layerFile(layer)}`);
    assert.deepEqual(await bytes(put), await bytes(had));
  }
  const { bos } = JSON.parse(await Deno.readTextFile(`${put.path}/stats.json`));
  assert.equal(bos, "window");
  const [stated] = (await describeStats(put.path, {})).sections[0]!.facts!
    .filter(([name]) => name === "samples");
  assert.equal(stated?.[1], "2 of 32 tokens, the model's first one before each");
});

Deno.test("stats without Gram matrices or windows say so when asked for them", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("qwen2_tied");
  using stats = await openStats(await chain.calibrate(model, { attention_windows: 1 }), model);
  await assert.rejects(() => stats.gram(0, "layers.0.mlp.in"), /set gram: true on the calibrate/);
  await assert.rejects(() => stats.window(0, "keys", 1), /window 1 of the stats: 1 are kept/);
});

Deno.test("an activation with an online Hadamard transform is watched behind it", async () => {
  await using chain = await StageChain.open();
  const transforms = ["down_proj"];
  const model = await chain.run(rotate, { model: chain.family("mistral_window") }, { transforms });
  const stats = await chain.calibrate(model, ALL);
  using checkpoint = await openCheckpoint(model.path);
  const { layers } = architectureOf(checkpoint.config);
  for (let layer = 0; layer < LAYERS; layer++) {
    const seen = await layerOf(stats, layer);
    const apply = (role: "gate" | "up") =>
      linearOf(checkpoint, layers[layer]!.linear(role), seen.get("mlp.in.rows")!);
    const inner = gated(await apply("gate"), await apply("up"), { activation: "silu" });
    const rows = seen.get("mlp.out.rows")!;
    assert.ok(relativeError(rows, inner) > 0.5);
    applyHadamard(inner, hadamardFactor(72));
    near(rows, inner, 1e-4, "transformed");
    checkMagnitudes(seen, "mlp.out", rows);
    near(seen.get("mlp.out.gram")!, gramOf(rows), 1e-6, "Gram matrix");
  }
});

/** Tensors of one layer's file, by what stands behind the layer. */
async function layerOf({ path }: Artifact, layer: number): Promise<Map<string, Float32Array>> {
  using file = await openSafetensors(`${path}/${layerFile(layer)}`);
  const found = new Map<string, Float32Array>();
  for (const name of file.tensors.keys()) {
    assert.ok(name.startsWith(`layers.${layer}.`));
    found.set(name.slice(`layers.${layer}.`.length), await file.read(name) as Float32Array);
  }
  return found;
}

/** Checks the magnitudes of a tap against its activations of all tokens. */
function checkMagnitudes(
  seen: ReadonlyMap<string, Float32Array>,
  tap: string,
  rows: Float32Array,
  tokens = TOKENS,
): void {
  const columns = seen.get(`${tap}.absmax`)!.length;
  assert.equal(rows.length, tokens * columns);
  const [largest, sums, squares] = [0, 1, 2].map(() => new Float64Array(columns));
  rows.forEach((value, i) => {
    const c = i % columns;
    largest![c] = Math.max(largest![c]!, Math.abs(value));
    sums![c]! += Math.abs(value);
    squares![c]! += value ** 2;
  });
  assert.deepEqual(seen.get(`${tap}.absmax`), Float32Array.from(largest!), tap);
  if (tokens === 0) return;
  near(seen.get(`${tap}.absmean`)!, sums!.map((sum) => sum / Math.max(1, tokens)), 1e-6, tap);
  near(
    seen.get(`${tap}.rms`)!,
    squares!.map((sum) => Math.sqrt(sum / Math.max(1, tokens))),
    1e-6,
    tap,
  );
}

/** The sum of x x^T over rows, in double precision. */
function gramOf(rows: Float32Array, tokens = TOKENS): Float64Array {
  const columns = rows.length / tokens;
  const sum = new Float64Array(columns ** 2);
  for (let start = 0; start < rows.length; start += columns) {
    for (let at = 0; at < sum.length; at++) {
      sum[at]! += rows[start + Math.floor(at / columns)]! * rows[start + at % columns]!;
    }
  }
  return sum;
}

/** What a linear of a checkpoint makes of rows. */
async function linearOf(
  checkpoint: Awaited<ReturnType<typeof openCheckpoint>>,
  { rows, columns, ...names }: LinearOutline,
  x: Float32Array,
): Promise<Float32Array> {
  const weight = await checkpoint.read(names.weight);
  const bias = names.bias ? await checkpoint.read(names.bias) : new Float32Array(rows);
  return Float32Array.from({ length: x.length / columns * rows }, (_, at) => {
    const [token, row] = [Math.floor(at / rows), at % rows];
    let sum = bias[row]!;
    for (let c = 0; c < columns; c++) sum += x[token * columns + c]! * weight[row * columns + c]!;
    return sum;
  });
}

/** The tokens that go to each expert by a router: those of the largest scores. */
async function routed(
  checkpoint: Awaited<ReturnType<typeof openCheckpoint>>,
  router: LinearOutline,
  { experts }: DecoderConfig,
  x: Float32Array,
): Promise<number[][]> {
  const { count, chosen } = experts!;
  const scores = await linearOf(checkpoint, router, x);
  const tokens = Array.from({ length: count }, (): number[] => []);
  for (let token = 0; token < scores.length / count; token++) {
    const own = scores.subarray(token * count, (token + 1) * count);
    const order = [...own.keys()].sort((a, b) => own[b]! - own[a]!);
    for (const expert of order.slice(0, chosen)) tokens[expert]!.push(token);
  }
  return tokens;
}

/** Some rows. */
function rowsOf(x: Float32Array, columns: number, rows: readonly number[]): Float32Array {
  return joined(rows.map((row) => x.subarray(row * columns, (row + 1) * columns)));
}

/** SiLU(gate) * up. */
function gated(
  gate: Float32Array,
  up: Float32Array,
  { activation }: Pick<DecoderConfig, "activation">,
): Float32Array {
  const silu = (x: number) => x / (1 + Math.exp(-x));
  const gelu = (x: number) =>
    x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))) / 2;
  const activated = activation === "silu" ? silu : gelu;
  return gate.map((value, i) => activated(value) * up[i]!);
}

/** What the first layer reads: embeddings of the chain's text, normalized. */
async function normalizedEmbeddings(chain: StageChain, model: Artifact): Promise<Float32Array> {
  const { path } = await chain.tokens(TOKENS);
  const ids = new Uint32Array((await Deno.readFile(`${path}/tokens.u32`)).buffer);
  using checkpoint = await openCheckpoint(model.path);
  const { config, layers } = architectureOf(checkpoint.config);
  const { hidden: size } = config;
  const table = await checkpoint.read("model.embed_tokens.weight");
  const { fedBy } = layers[0]!.site("attention.in");
  const rows = [...ids].map((id) => table.subarray(id * size, (id + 1) * size));
  const scaled = joined(rows).map((value) => value * config.embeddingScale);
  if (fedBy.kind === "stream") return joined(rows);
  return await normalized(scaled, { checkpoint, config, fedBy, size });
}

/** Runs of values, less their means where a model takes them away, over their root mean squares; then gains and biases. */
async function normalized(
  values: Float32Array,
  { checkpoint, config: { normEps, norm }, fedBy: { weight, bias }, size }: {
    readonly checkpoint: Checkpoint;
    readonly config: DecoderConfig;
    readonly fedBy: Feeder;
    readonly size: number;
  },
): Promise<Float32Array> {
  const gain = await checkpoint.read(weight);
  const added = bias === undefined ? undefined : await checkpoint.read(bias);
  return joined(Array.from({ length: values.length / size }, (_, at) => {
    const row = values.subarray(at * size, (at + 1) * size);
    const middle = norm === "layer" ? row.reduce((sum, value) => sum + value, 0) / size : 0;
    const mean = row.reduce((sum, value) => sum + (value - middle) ** 2, 0) / size;
    return row.map((value, c) => {
      const channel = (at * size + c) % gain.length;
      return (value - middle) / Math.sqrt(mean + normEps) * gain[channel]! +
        (added?.[channel] ?? 0);
    });
  }));
}

/** L2 norms of consecutive pieces. */
function lengthsOf(values: Float32Array, size: number): Float32Array {
  return Float32Array.from({ length: values.length / size }, (_, at) => {
    return Math.hypot(...values.subarray(at * size, (at + 1) * size));
  });
}

/** Asserts that an abort after the third window ends the stage with its reason. */
async function assertStops(
  chain: StageChain,
  { model, memoryBytes = 2 ** 28 }: { readonly model: Artifact; readonly memoryBytes?: number },
): Promise<void> {
  const stop = new AbortController();
  const reason = new Error("enough");
  let last = 0;
  const progress = (done: number) => {
    last = done;
    if (done === 3) stop.abort(reason);
  };
  const given = { memoryBytes, signal: stop.signal, progress };
  await assert.rejects(() => chain.calibrate(model, ALL, given), reason);
  assert.equal(last, 3);
}

function joined(parts: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

function near(got: Float32Array, expected: ArrayLike<number>, within: number, what: string): void {
  assert.equal(got.length, expected.length, what);
  const error = relativeError(got, Float32Array.from(expected));
  assert.ok(error < within, `${what}: relative difference is ${error}`);
}
