import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import type { Device } from "../../../kernels/device/device.ts";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import type { Artifact } from "../../../pipeline/artifact.ts";
import { evaluate } from "../../../stages/evaluate.ts";
import { openCheckpoint } from "../../../stages/models/open_checkpoint.ts";
import { writeCheckpointTexts } from "../../../stages/formats/checkpoint.ts";
import { createCheckpointWriter } from "../../../stages/formats/checkpoint_writer.ts";
import { storedBytes } from "../../../stages/formats/half.ts";
import { Model } from "../../../stages/models/model.ts";
import { readEvaluation } from "../../../stages/report/evaluation.ts";
import { logitsOf } from "../../support/forward_pass.ts";
import { normals, words } from "../../support/random.ts";
import { forgetful } from "../../support/journal_stub.ts";

const FAMILIES = fileURLToPath(new URL("../../testdata/families", import.meta.url));
const FAMILY = "llama_llama3_gqa_tied";
const VOCABULARY = 96;
const CONTEXT = 12;
const WINDOWS = 3;
const EVERY = { context: CONTEXT, windows: WINDOWS };
/** Logits differ by about 1e-6 with the order of sums. */
const TOLERANCE = 3e-6;

for (const name of [FAMILY, "qwen2_untied"]) {
  Deno.test(`evaluate measures the divergence of a noisy ${name} as the host does`, async () => {
    await using bench = await openBench(await Cpu.open());
    const { baseline, model, tokens, report } = await noisyPair(bench, name);
    const got = await bench.evaluate({ model, tokens, baseline: report, baseline_model: baseline });
    const expected = await onHost(bench.device, { baseline, model, ids: tokens.ids });
    assert.ok(expected.kl > 1000 * TOLERANCE, `divergence is only ${expected.kl}`);
    near(got.scores.kl, expected.kl, TOLERANCE);
    assert.equal(got.scores.top1, expected.top1);
    near(got.scores.perplexity, expected.perplexity, TOLERANCE * expected.perplexity);
    const ratio = got.scores.perplexity! / report.scores.perplexity!;
    assert.equal(got.scores.perplexity_ratio, ratio);
    const kl = new Float32Array((await Deno.readFile(`${got.path}/kl.f32`)).buffer);
    assert.equal(kl.length, WINDOWS * (CONTEXT - 1));
    near(kl.reduce((sum, value) => sum + value, 0) / kl.length, expected.kl, TOLERANCE);
    const report2 = await readEvaluation(got.path);
    assert.equal(report2.windowKl!.length, WINDOWS);
    for (let window = 0; window < WINDOWS; window++) {
      const part = kl.subarray(window * (CONTEXT - 1), (window + 1) * (CONTEXT - 1));
      near(report2.windowKl![window], part.reduce((sum, one) => sum + one, 0) / part.length, 1e-9);
    }
    near(report2.windowTop1!.reduce((sum, one) => sum + one, 0) / WINDOWS, expected.top1, 1e-12);
    assert.equal(report2.llamaCpp!.tokens, WINDOWS * (CONTEXT - 1 - CONTEXT / 2));
  });
}

Deno.test("heads split at different rows give the same divergence", async () => {
  await using whole = await openBench(new ReferenceDevice());
  const { baseline, model, tokens, report } = await noisyPair(whole, FAMILY);
  const inputs = { model, tokens, baseline: report, baseline_model: baseline };
  const expected = await whole.evaluate(inputs);
  const device = new ReferenceDevice();
  // 27 rows of the model's float32 head, 55 of the baseline's float16 head, and all activations.
  const limits = { ...device.limits, bindingBytes: 55 * 64 * 2 };
  await using split = await openBench(Object.assign(device, { limits }));
  const got = await split.evaluate(inputs);
  near(got.scores.kl, expected.scores.kl!, TOLERANCE);
  near(got.scores.perplexity, expected.scores.perplexity!, 1e-4);
});

for (const [how, memoryBytes] of [["", 2 ** 30], [" a layer at a time", 1000]] as const) {
  Deno.test(`a model does not diverge from itself${how}`, async () => {
    await using bench = await openBench(await Cpu.open(), memoryBytes);
    const model = await bench.model(FAMILY);
    const tokens = await bench.tokens();
    const report = await bench.evaluate({ model, tokens }, { keep_hidden: true });
    const bytes = await Deno.stat(`${report.path}/hidden.f32`);
    assert.equal(bytes.size, 4 * WINDOWS * CONTEXT * 64);
    const inputs = { model, tokens, baseline: report, baseline_model: model };
    const { scores } = await bench.evaluate(inputs);
    assert.deepEqual([scores.kl, scores.top1], [0, 1]);
    near(scores.perplexity_ratio, 1, 1e-5);
  });
}

Deno.test("evaluate refuses a baseline that was scored in another way", async () => {
  await using bench = await openBench(new ReferenceDevice());
  const [model, tokens] = [await bench.model(FAMILY), await bench.tokens()];
  const plain = await bench.evaluate({ model, tokens });
  const baseline = await bench.evaluate({ model, tokens }, { keep_hidden: true });
  const whole = { model, tokens, baseline, baseline_model: model };
  const refuses = async (
    inputs: Partial<Parameters<typeof bench.evaluate>[0]>,
    wanted: RegExp,
    params: object = {},
  ) => await assert.rejects(bench.evaluate({ ...whole, ...inputs }, params), wanted);
  await refuses({ baseline_model: undefined }, /input baseline but no baseline_model/);
  await refuses({ baseline: undefined }, /input baseline_model but no baseline,/);
  await refuses({ baseline: plain }, /keeps no hidden states.*keep_hidden: true/);
  await refuses({}, /its windows is 3, expected 2/, { windows: 2 });
  await refuses({}, /its context is 12, expected 6/, { context: 6 });
  await refuses({ tokens: await bench.tokens("other") }, /the digest of its tokens is/);
  const other = await bench.model("qwen2_untied");
  await refuses({ baseline_model: other }, /it is of model .*, expected baseline_model/);
  const larger = await bench.model(FAMILY, { vocabulary: VOCABULARY + 8 });
  await refuses({ model: larger }, /vocabulary has 104 entries, expected 96/);
});

type Bench = Awaited<ReturnType<typeof openBench>>;
type Tokens = Artifact<"tokens"> & { readonly ids: Uint32Array };

/** A device and a directory in which artifacts are made as the pipeline makes them. */
async function openBench(device: Device, memoryBytes = 2 ** 30) {
  const root = await Deno.makeTempDir();
  let made = 0;
  const fresh = async () => {
    const path = `${root}/${made++}`;
    await Deno.mkdir(path);
    return path;
  };
  const artifact = <K extends string>(kind: K, path: string) => {
    return { kind, path, key: path, digest: `digest of ${path}`, scores: {} } as const;
  };
  return {
    device,
    async model(family: string, options: ModelOptions = {}) {
      const path = await fresh();
      await writeModel(`${FAMILIES}/${family}`, path, options);
      return artifact("model", path);
    },
    async tokens(seed = "tokens") {
      const path = await fresh();
      const source = words(seed);
      // A tail of 5 tokens is dropped.
      const ids = Uint32Array.from(
        { length: WINDOWS * CONTEXT + 5 },
        () => source.next().value % VOCABULARY,
      );
      await Deno.writeFile(`${path}/tokens.u32`, new Uint8Array(ids.buffer));
      return { ...artifact("tokens", path), ids };
    },
    async evaluate(
      inputs: {
        readonly model: Artifact<"model">;
        readonly tokens: Tokens;
        readonly baseline?: Artifact<"report"> | undefined;
        readonly baseline_model?: Artifact<"model"> | undefined;
      },
      params: object = {},
    ) {
      const out = await fresh();
      const job = {
        tools: { memoryBytes, device: () => Promise.resolve(device) },
        out,
        signal: new AbortController().signal,
        journal: forgetful,
        progress: () => {},
        note: () => {},
      };
      const { baseline, baseline_model } = inputs;
      const outcome = await evaluate.run(
        job,
        { ...inputs, baseline, baseline_model },
        evaluate.params.parse({ ...EVERY, ...params }),
      );
      assert.deepEqual((await readEvaluation(out)).scores, outcome?.scores);
      return { ...artifact("report", out), scores: outcome?.scores ?? {} };
    },
    async [Symbol.asyncDispose]() {
      await device[Symbol.asyncDispose]();
      await Deno.remove(root, { recursive: true });
    },
  };
}

/** A baseline in float16 with its report, and a noisy copy in float32. */
async function noisyPair(bench: Bench, family: string) {
  const baseline = await bench.model(family, { dtype: "F16" });
  const model = await bench.model(family, { noise: 0.1 });
  const tokens = await bench.tokens();
  const report = await bench.evaluate({ model: baseline, tokens }, { keep_hidden: true });
  return { baseline, model, tokens, report };
}

interface ModelOptions {
  readonly dtype?: "F16" | "F32";
  /** Standard deviation of what is added to a matrix, relative to its own. */
  readonly noise?: number;
  /** Rows of the embedding table; those that are not there are 0. */
  readonly vocabulary?: number;
}

/** Copies a checkpoint with other element types, noise or a longer table. */
async function writeModel(from: string, to: string, options: ModelOptions): Promise<void> {
  const { dtype = "F32", noise = 0, vocabulary = VOCABULARY } = options;
  using source = await openCheckpoint(from);
  const specs = [...source.tensors.values()].map(({ name, shape, file }) => ({
    name,
    file,
    dtype: shape.length > 1 ? dtype : "F32",
    shape: name.includes("embed_tokens") ? [vocabulary, shape[1]!] : shape,
  } as const));
  using writer = await createCheckpointWriter(to, specs);
  for (const spec of specs) {
    const values = await source.read(spec.name);
    const size = Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / values.length);
    const random = normals(spec.name);
    const matrix = spec.shape.length > 1;
    const noisy = values.map((value) => value + (matrix ? noise * size * random.next().value : 0));
    const all = new Float32Array(spec.shape.reduce((product, axis) => product * axis, 1));
    all.set(noisy);
    await writer.write(spec.name, storedBytes(all, spec));
  }
  await writer.close();
  const config = { ...source.config as object, vocab_size: vocabulary };
  await writeCheckpointTexts({ ...source, config }, to);
}

/** The same figures from whole logits, in double precision. */
async function onHost(
  device: Device,
  { baseline, model, ids }: {
    readonly baseline: Artifact<"model">;
    readonly model: Artifact<"model">;
    readonly ids: Uint32Array;
  },
) {
  const logits = async ({ path }: Artifact<"model">, window: Uint32Array) => {
    using opened = await Model.open(path, device, { weightBytes: Infinity });
    return Float64Array.from(await logitsOf(device, opened, [...window]));
  };
  let [kl, same, likelihood] = [0, 0, 0];
  for (let window = 0; window < WINDOWS; window++) {
    const chosen = ids.subarray(window * CONTEXT, (window + 1) * CONTEXT);
    const [ps, qs] = [await logits(baseline, chosen), await logits(model, chosen)];
    for (let i = 0; i + 1 < CONTEXT; i++) {
      const row = (all: Float64Array) =>
        logSoftmax(all.subarray(i * VOCABULARY, (i + 1) * VOCABULARY));
      const [p, q] = [row(ps), row(qs)];
      kl += p.reduce((sum, value, at) => sum + Math.exp(value) * (value - q[at]!), 0);
      same += Number(p.indexOf(Math.max(...p)) === q.indexOf(Math.max(...q)));
      likelihood += q[chosen[i + 1]!]!;
    }
  }
  const scored = WINDOWS * (CONTEXT - 1);
  return { kl: kl / scored, top1: same / scored, perplexity: Math.exp(-likelihood / scored) };
}

function logSoftmax(logits: Float64Array): Float64Array {
  const most = Math.max(...logits);
  const sum = logits.reduce((total, value) => total + Math.exp(value - most), 0);
  return logits.map((value) => value - most - Math.log(sum));
}

function near(got: number | undefined, expected: number, tolerance: number): void {
  assert.ok(Math.abs((got ?? NaN) - expected) <= tolerance, `${got}, expected ${expected}`);
}
