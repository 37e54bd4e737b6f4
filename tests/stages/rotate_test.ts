import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import type { Artifact } from "../../pipeline/artifact.ts";
import type { Job } from "../../pipeline/stage.ts";
import type { Checkpoint } from "../../stages/formats/checkpoint.ts";
import { openModel } from "../../stages/models/architecture.ts";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import { createCheckpointWriter } from "../../stages/formats/checkpoint_writer.ts";
import { bytesOf } from "../../stages/formats/half.ts";
import type { Tools } from "../../stages/kinds.ts";
import { Model } from "../../stages/models/model.ts";
import { readModelRecord, writeModelRecord } from "../../stages/models/model_record.ts";
import { applyHadamard, hadamardFactor } from "../../stages/quant/hadamard.ts";
import { keepingMeans, rotateVectors, rotationOf } from "../../stages/quant/rotation.ts";
import { rotate } from "../../stages/rotate.ts";
import { logitsOf, relativeError } from "../support/forward_pass.ts";
import { forgetful } from "../support/journal_stub.ts";

const FOLDER = fileURLToPath(new URL("../testdata/families", import.meta.url));
const FAMILIES = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort();
const IDS = [1, 5, 17, 80, 33, 2, 64, 91, 9, 41, 12, 70, 3];
const EMBEDDINGS = "model.embed_tokens.weight";
const VALUES = "model.layers.0.self_attn.v_proj.weight";

const VARIANTS: readonly unknown[] = [
  {},
  { seed: 1 },
  { transforms: [] },
  { transforms: ["out_proj", "down_proj"] },
  { seed: 7, transforms: ["down_proj"] },
  { seed: 7, transforms: ["out_proj_online", "down_proj"] },
];

for (const name of FAMILIES) {
  Deno.test(`rotate leaves the logits of ${name} as they are`, async () => {
    const path = `${FOLDER}/${name}`;
    await using device = await Cpu.open();
    const logits = async (directory: string) => {
      using model = await Model.open(directory, device, { weightBytes: Infinity });
      return await logitsOf(device, model, IDS);
    };
    const before = await logits(path);
    for (const variant of VARIANTS) {
      if (turnsNothing(variant, await normsBehind(path))) {
        await assert.rejects(
          () => rotated(path, variant),
          /Cannot rotate the model: .*no linear can take over, expected transforms/,
        );
        continue;
      }
      await rotated(path, variant, async (out) => {
        const error = relativeError(await logits(out), before);
        assert.ok(error < 1e-4, `${JSON.stringify(variant)}: relative error is ${error}`);
      });
    }
  });

  Deno.test(`rotate makes the gains of ${name} 1, unties its head and changes every matrix`, async () => {
    const path = `${FOLDER}/${name}`;
    await rotated(path, { transforms: ["out_proj", "down_proj"] }, async (out) => {
      using before = await openCheckpoint(path);
      using after = await openCheckpoint(out);
      if ((await normsBehind(path)).length > 0) return await assertInsideOnly(before, after);
      assert.equal((after.config as { tie_word_embeddings: boolean }).tie_word_embeddings, false);
      assert.ok(after.tensors.has("lm_head.weight"));
      for (const { name, shape } of after.tensors.values()) {
        const values = await after.read(name);
        // Heads as a whole are not turned before they are normalized.
        if (/[qk]_(layer)?norm/.test(name)) assert.deepEqual(values, await before.read(name), name);
        else if (/norm\.weight$/.test(name)) assert.ok(values.every((gain) => gain === 1), name);
        if (shape.length < 2) continue;
        const old = await before.read(before.tensors.has(name) ? name : EMBEDDINGS);
        if (/\.(q|k)_proj/.test(name) && isZero(old)) continue;
        assert.notDeepEqual(values, old, name);
      }
    });
  });
}

Deno.test("rotate turns embeddings by R, and the values of each head by R of the head size", async () => {
  const path = `${FOLDER}/llama_wide_heads`;
  await rotated(path, { transforms: [] }, async (residualOnly) => {
    await rotated(path, { transforms: ["out_proj"] }, async (both) => {
      using before = await openCheckpoint(path);
      using plain = await openCheckpoint(residualOnly);
      using headed = await openCheckpoint(both);
      const embeddings = await before.read(EMBEDDINGS);
      applyHadamard(embeddings, hadamardFactor(64));
      assert.deepEqual(await headed.read(EMBEDDINGS), embeddings);
      // One kv head of 48 channels: the columns of W_v are turned as vectors.
      const values = await plain.read(VALUES);
      applyHadamard(values, hadamardFactor(48), { inner: 64 });
      assert.deepEqual(await headed.read(VALUES), values);
    });
  });
});

for (const family of ["mistral_window", "stablelm_biases"]) {
  Deno.test(`rotate spreads an outlier channel of the residual stream of ${family} over all channels`, async () => {
    // What keeps means spreads the first channel by as many sums of random signs, others by equal values.
    for (const [channel, most] of [[0, family === "stablelm_biases" ? 20 : 6], [5, 6]] as const) {
      const path = await Deno.makeTempDir();
      try {
        await copyModel(`${FOLDER}/${family}`, path, (name, values) => {
          if (name !== EMBEDDINGS) return;
          for (let at = channel; at < values.length; at += 64) values[at]! *= 50;
        });
        for (const variant of [{}, { seed: 3 }]) {
          await rotated(path, variant, async (out) => {
            using before = await openCheckpoint(path);
            using after = await openCheckpoint(out);
            const [spiked, spread] = [await before.read(EMBEDDINGS), await after.read(EMBEDDINGS)];
            // 64 equal values squared and to the fourth have kurtosis near 3 if normal, 64 if one stands out.
            assert.ok(kurtosis(spiked) > 40, `${kurtosis(spiked)}`);
            assert.ok(kurtosis(spread) < most, `${kurtosis(spread)}`);
          });
        }
      } finally {
        await Deno.remove(path, { recursive: true });
      }
    }
  });
}

Deno.test("a rotation that keeps means is orthogonal, and leaves equal values equal", () => {
  for (const size of [4, 12, 20, 64]) {
    for (const seed of [undefined, 0, 5]) {
      const plain = rotationOf(hadamardFactor(size), { seed, place: "residual" });
      const rotation = keepingMeans(plain);
      const matrix = Float32Array.from(
        { length: size * size },
        (_, i) => Math.floor(i / size) === i % size ? 1 : 0,
      );
      rotateVectors(matrix, rotation);
      const dot = (a: number, b: number) => {
        let sum = 0;
        for (let c = 0; c < size; c++) sum += matrix[a * size + c]! * matrix[b * size + c]!;
        return sum;
      };
      for (let a = 0; a < size; a++) {
        for (let b = 0; b < size; b++) assert.ok(Math.abs(dot(a, b) - Number(a === b)) < 1e-6);
      }
      const equal = new Float32Array(size).fill(3);
      rotateVectors(equal, rotation);
      for (const value of equal) assert.ok(Math.abs(value - 3) < 1e-5, `${size}: ${value}`);
    }
  }
});

Deno.test("rotate refuses a norm that adds a bias behind a gain of 0", async () => {
  const path = await Deno.makeTempDir();
  try {
    const norm = "model.layers.1.input_layernorm";
    await copyModel(`${FOLDER}/stablelm_biases`, path, (name, values) => {
      if (name === `${norm}.weight`) values[3] = 0;
      if (name === `${norm}.bias`) values[3] = 0.5;
    });
    await assert.rejects(
      () => rotated(path, {}),
      /Cannot rotate the model: "model\.layers\.1\.input_layernorm\.weight" is 0 at channel 3, where ".*bias" is 0\.5, expected/,
    );
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});

Deno.test("rotate gives the same bytes for the same seed, and others for another", async () => {
  const path = `${FOLDER}/qwen2_untied`;
  const bytes = async (variant: unknown) => {
    let read = new Uint8Array();
    await rotated(path, variant, async (out) => {
      read = await Deno.readFile(`${out}/model.safetensors`);
    });
    return read;
  };
  const [none, one, again, two] = [
    await bytes({}),
    await bytes({ seed: 1 }),
    await bytes({ seed: 1 }),
    await bytes({ seed: 2 }),
  ];
  assert.deepEqual(one, again);
  assert.notDeepEqual(one, two);
  assert.notDeepEqual(one, none);
});

Deno.test("the signs of a seed are balanced, and others at other places", () => {
  const factor = hadamardFactor(4096);
  for (const seed of [0, 1, 2 ** 32 - 1]) {
    const residual = rotationOf(factor, { seed, place: "residual" }).signs!;
    const head = rotationOf(factor, { seed, place: "head" }).signs!;
    const sum = (signs: Int8Array) => signs.reduce((total, sign) => total + sign, 0);
    // Five standard deviations of a sum of 4,096 fair signs.
    for (const total of [sum(residual), sum(residual.map((sign, i) => sign * head[i]!))]) {
      assert.ok(Math.abs(total) < 5 * 64, `seed ${seed}: ${total}`);
    }
  }
});

Deno.test("rotate() of a seed is diag(signs) times the plain rotation, along rows and columns", () => {
  const factor = hadamardFactor(12);
  const rotation = rotationOf(factor, { seed: 4, place: "head" });
  assert.ok(rotation.signs!.includes(-1));
  for (const inner of [1, 5]) {
    const values = Float32Array.from({ length: 24 * inner }, (_, i) => Math.sin(i + 1));
    const expected = values.map((value, i) => value * rotation.signs![Math.floor(i / inner) % 12]!);
    applyHadamard(expected, factor, { inner });
    rotateVectors(values, rotation, inner);
    assert.deepEqual(values, expected);
  }
});

Deno.test("rotate records itself and the transform that runs with the model", async () => {
  await rotated(`${FOLDER}/llama_linear_biases`, { transforms: ["down_proj"] }, async (out) => {
    const record = await readModelRecord(out);
    assert.deepEqual(record.hadamard, ["mlp.out"]);
    assert.deepEqual(record.history, [{ stage: "rotate", params: { transforms: ["down_proj"] } }]);
    await rotated(out, {}, async (twice) => {
      const { hadamard, history } = await readModelRecord(twice);
      assert.deepEqual(hadamard, ["mlp.out"]);
      assert.equal(history.length, 2);
    });
    await assert.rejects(
      () => rotated(out, { transforms: ["down_proj"] }),
      /Cannot rotate the inputs of down_proj: .*leave down_proj out/,
    );
  });
});

Deno.test("rotate refuses to rotate what the heads make twice", async () => {
  const params = { transforms: ["out_proj_online"] };
  await rotated(`${FOLDER}/llama_linear_biases`, params, async (out) => {
    assert.deepEqual((await readModelRecord(out)).hadamard, ["attention.out"]);
    for (const transform of ["out_proj_online", "out_proj"]) {
      await assert.rejects(
        () => rotated(out, { transforms: [transform] }),
        new RegExp(`Cannot rotate the inputs of out_proj: .*leave ${transform} out`),
      );
    }
  });
  const both = { transforms: ["out_proj", "out_proj_online"] };
  assert.ok(!rotate.params.safeParse(both).success);
});

const REFUSED: readonly (readonly [what: string, config: object, params: unknown, RegExp])[] = [
  ["a hidden size", { hidden_size: 1336 }, {}, /Cannot rotate hidden size 1336: its factor 167/],
  ["a head size", { head_dim: 188 }, {}, /Cannot rotate head size 188: its factor 47/],
  [
    "an inner size",
    { intermediate_size: 1336 },
    { transforms: ["down_proj"] },
    /Cannot rotate inner size 1336: its factor 167/,
  ],
];

for (const [what, config, variant, message] of REFUSED) {
  Deno.test(`rotate refuses ${what} of no known Hadamard order`, async () => {
    await withCopy(async (path) => {
      const old = JSON.parse(await Deno.readTextFile(`${path}/config.json`));
      await Deno.writeTextFile(`${path}/config.json`, JSON.stringify({ ...old, ...config }));
      await assert.rejects(() => rotated(path, variant), message);
    });
  });
}

Deno.test("rotate refuses a quantized model", async () => {
  await withCopy(async (path) => {
    const record = await readModelRecord(path);
    const weights = { bits: 4, zero: "post_scale", group: 128, levels: 1 } as const;
    const linears = { "model.layers.0.mlp.up_proj": { weights } };
    await writeModelRecord(path, { ...record, linears });
    await assert.rejects(() => rotated(path, {}), /put rotate before quantize/);
  });
});

/** Norms between a layer's linears and the residual stream. */
async function normsBehind(path: string): Promise<readonly unknown[]> {
  using files = await openModel(path);
  return files.architecture.layers.flatMap(({ sites }) =>
    sites.flatMap(({ outputNorm }) => outputNorm ?? [])
  );
}

/** Whether nothing is left to rotate: the residual stream is in the way of norms, and all else unasked. */
function turnsNothing(variant: unknown, behind: readonly unknown[]): boolean {
  const { transforms } = rotate.params.parse(variant) as { readonly transforms: readonly string[] };
  return behind.length > 0 && transforms.length === 0;
}

/** Asserts that values and what goes into out_proj and down_proj turned, and nothing else changed. */
async function assertInsideOnly(before: Checkpoint, after: Checkpoint): Promise<void> {
  assert.deepEqual(after.config, before.config);
  assert.deepEqual([...after.tensors.keys()], [...before.tensors.keys()]);
  for (const name of after.tensors.keys()) {
    const [was, is] = [await before.read(name), await after.read(name)];
    if (/\.(v|o|down)_proj\.weight/.test(name)) assert.notDeepEqual(is, was, name);
    else if (!name.endsWith("v_proj.bias")) assert.deepEqual(is, was, name);
  }
}

/** Runs the stage on a model directory; the output is gone after `use`. */
async function rotated(
  path: string,
  variant: unknown,
  use: (out: string) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const out = await Deno.makeTempDir();
  const job: Job<Tools> = {
    tools: { device: () => Promise.reject(new Error("no device is needed")), memoryBytes: 0 },
    out,
    signal: new AbortController().signal,
    journal: forgetful,
    progress() {},
    note() {},
  };
  const model: Artifact<"model"> = { kind: "model", key: "", digest: "", path, scores: {} };
  try {
    await rotate.run(job, { model }, rotate.params.parse(variant));
    await use(out);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}

async function withCopy(use: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempDir();
  try {
    await copyModel(`${FOLDER}/llama_wide_heads`, path, () => {});
    await use(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

async function copyModel(
  from: string,
  to: string,
  change: (name: string, values: Float32Array) => void,
): Promise<void> {
  using checkpoint = await openCheckpoint(from);
  const specs = [...checkpoint.tensors.values()]
    .map(({ name, shape }) => ({ name, dtype: "F32", shape } as const));
  using writer = await createCheckpointWriter(to, specs);
  for (const { name } of specs) {
    const values = await checkpoint.read(name);
    change(name, values);
    await writer.write(name, bytesOf(values));
  }
  await writer.close();
  await Deno.copyFile(`${from}/config.json`, `${to}/config.json`);
}

/** Fourth moment over the squared second: 3 for normal values, 64 for one of 64 channels alone. */
function kurtosis(values: Float32Array): number {
  let [second, fourth] = [0, 0];
  for (const value of values) {
    second += value ** 2;
    fourth += value ** 4;
  }
  return fourth * values.length / second ** 2;
}

function isZero(values: Float32Array): boolean {
  return values.every((value) => value === 0);
}
