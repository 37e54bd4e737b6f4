import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import type { Artifact } from "../../pipeline/artifact.ts";
import { bytesOf } from "../../stages/formats/half.ts";
import { describePath } from "../../stages/describe/describe.ts";
import { openSafetensors } from "../../stages/formats/safetensors/file.ts";
import { learn_rotation, rotate } from "../../stages/mod.ts";
import { openModel } from "../../stages/models/architecture.ts";
import { readModelRecord } from "../../stages/models/model_record.ts";
import { FAMILIES, StageChain } from "../support/stage_chain.ts";

const ORACLE = fileURLToPath(new URL("../testdata/spinquant.st", import.meta.url));

/** The first ids of the oracle's text as tokens. */
async function tokensOf(chain: StageChain, count = Infinity): Promise<Artifact<"tokens">> {
  using oracle = await openSafetensors(ORACLE);
  const ids = Uint32Array.from(await oracle.read("calibration"), Number).slice(0, count);
  const path = await chain.directory();
  await Deno.writeFile(`${path}/tokens.u32`, bytesOf(ids));
  return { kind: "tokens", key: path, digest: `tokens in ${path}`, path, scores: {} };
}

/** The largest difference of two lists, relative to the largest value. */
function difference(got: Float32Array, expected: Float32Array): number {
  assert.equal(got.length, expected.length);
  let [most, largest] = [0, 0];
  expected.forEach((value, i) => {
    most = Math.max(most, Math.abs(got[i]! - value));
    largest = Math.max(largest, Math.abs(value));
  });
  return most / largest;
}

for (const seed of [undefined, 5]) {
  Deno.test(`learned rotations leave logits as they were, seed ${seed}`, async () => {
    await using chain = await StageChain.open();
    // In single precision, in which rounding to halves hides nothing.
    const model = await chain.edited(chain.embedded(), () => {});
    const tokens = await tokensOf(chain);
    const learned = await chain.run(learn_rotation, { model, tokens }, {
      steps: 3,
      batch: 1,
      context: 48,
      ...seed !== undefined && { seed },
    });
    const turned = await chain.run(rotate, { model }, { transforms: ["out_proj", "down_proj"] });
    const [before, after, other] = [
      await chain.logits(model),
      await chain.logits(learned),
      await chain.logits(turned),
    ];
    assert.ok(difference(after, before) < 2e-5, `${difference(after, before)}`);
    assert.ok(difference(other, before) < 2e-5);
    const record = await readModelRecord(learned.path);
    assert.deepEqual(record.hadamard, ["mlp.out"]);
    assert.deepEqual(record.history.at(-1)?.stage, "learn_rotation");
    assert.ok(chain.notes.some((note) => /^loss 0\.\d+ by the first rotations/.test(note)));
  });
}

/** Families through whose models gradients are known. */
const TRAINABLE = [
  "internlm2_dynamic",
  "llama_llama3_gqa_tied",
  "llama_wide_heads",
  "yi_as_published",
];
const ONE = { steps: 1, batch: 1, context: 24 };

for (const family of FAMILIES) {
  const how = TRAINABLE.includes(family) ? "learned for" : "refused for";
  Deno.test(`rotations through the network are ${how} ${family}`, async () => {
    await using chain = await StageChain.open();
    const inputs = { model: chain.family(family), tokens: await chain.tokens(64) };
    if (!TRAINABLE.includes(family)) {
      const message = /use (method: kurtosis, or )?the rotate stage$/;
      const left = await chain.refuses(learn_rotation, { inputs, params: ONE, message });
      assert.deepEqual(left, []);
      return;
    }
    // In single precision from the start.
    const model = await chain.edited(inputs.model, () => {});
    // The transform of keys asks for heads of a power of two.
    const more = family === "llama_wide_heads" ? { keys_values: "none" } : {};
    const params = { ...ONE, steps: 2, ...more };
    const learned = await chain.run(learn_rotation, { ...inputs, model }, params);
    const [before, after] = [await chain.logits(model), await chain.logits(learned)];
    assert.ok(difference(after, before) < 2e-5, `${difference(after, before)}`);
    const fixed = await chain.run(rotate, { model }, { transforms: ["out_proj", "down_proj"] });
    assert.ok(await moved(learned, fixed) > 1e-4, "nothing was learned");
  });
}

for (const family of FAMILIES) {
  Deno.test(`rotations by kurtosis leave the logits of ${family} as they were, or are refused`, async () => {
    await using chain = await StageChain.open();
    const model = await chain.edited(chain.family(family), () => {});
    const stats = await chain.calibrate(model);
    const params = { method: "kurtosis", steps: 2, seed: 1 };
    if (/^(cohere|gemma|olmo2|stablelm)/.test(family)) {
      const message = /use the rotate stage$/;
      await chain.refuses(learn_rotation, { inputs: { model, stats }, params, message });
      return;
    }
    const learned = await chain.run(learn_rotation, { model, stats }, params);
    const [before, after] = [await chain.logits(model), await chain.logits(learned)];
    assert.ok(difference(after, before) < 3e-5, `${difference(after, before)}`);
  });
}

/** How far weights of layers lie apart, relative to their size. */
async function moved(a: Artifact, b: Artifact): Promise<number> {
  using one = await openModel(a.path);
  using other = await openModel(b.path);
  let [error, size] = [0, 0];
  for (const { weight } of one.architecture.linears) {
    const [values, others] = [
      await one.checkpoint.read(weight),
      await other.checkpoint.read(weight),
    ];
    values.forEach((value, i) => {
      error += (value - others[i]!) ** 2;
      size += value ** 2;
    });
  }
  return Math.sqrt(error / size);
}

Deno.test("learn_rotation refuses what it lacks before it works", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_llama3_gqa_tied");
  const tokens = await chain.tokens(64);
  const refused = async (inputs: object, params: object, message: RegExp) => {
    const asked = { inputs: { model, ...inputs }, params: { ...ONE, ...params }, message };
    assert.deepEqual(await chain.refuses(learn_rotation, asked), []);
  };
  await refused({}, {}, /there are no tokens, .* give tokens, or method: kurtosis with stats$/);
  await refused({ tokens }, { method: "kurtosis" }, /there are no stats, .*method: network$/);
  await refused(
    { tokens },
    { batch: 4, context: 24 },
    /from 2 windows of 24 tokens: expected at least 4, those of a step; lower batch or context$/,
  );
  await refused(
    { tokens },
    { activations: { zero: "pre_scale", clip: 0.9 } },
    /^Cannot clip inputs with zero points to 0\.9 of their range: expected zero: none, or no clip$/,
  );
  await refused({ tokens }, { context: 300 }, /windows of 300 tokens: the model was made for 256/);
  const wide = { inputs: { model: chain.family("llama_wide_heads"), tokens }, params: ONE };
  await chain.refuses(learn_rotation, { ...wide, message: /48 channels.*set keys_values: none$/ });
  const turned = await chain.run(rotate, { model }, { transforms: ["down_proj"] });
  const inputs = { model: turned, tokens };
  const message = /learn_rotation down_proj: its inputs go through a Hadamard transform/;
  await chain.refuses(learn_rotation, { inputs, params: ONE, message });
});

Deno.test("kurtosis refuses stats without rows", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_llama3_gqa_tied");
  const stats = await chain.calibrate(model, { rows: 0 });
  const params = { method: "kurtosis", steps: 1 };
  const message = /the stats keep no activations, expected some; set rows on the calibrate step$/;
  await chain.refuses(learn_rotation, { inputs: { model, stats }, params, message });
});

Deno.test("first and learned rotations are compared on one text, and a rise there is warned of", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_llama3_gqa_tied");
  const inputs = { model, tokens: await chain.tokens(64) };
  // Steps far too long, of which three go astray and twenty find their way back.
  const runs = [["network", 100, 3], ["network", 100, 20], ["kurtosis", 1.5, 20]] as const;
  for (const [method, rate, steps] of runs) {
    const risen = steps === 3;
    const params = { method, rate, steps, batch: 1, context: 16 };
    const given = method === "network" ? inputs : { model, stats: await chain.calibrate(model) };
    const { path } = await chain.run(learn_rotation, given, params);
    const [first, last] = comparedBy(chain.notes);
    assert.equal(last >= first, risen, chain.notes.join("\n"));
    assert.ok(Math.abs(last - first) > 0.05, `${first}, ${last}`);
    const warned = chain.notes.some((note) => note.includes("nothing was learned"));
    assert.equal(warned, risen, chain.notes.join("\n"));
    if (method === "kurtosis") {
      const [begun = NaN] = (await readModelRecord(path)).measured.rotation!;
      assert.equal(first.toFixed(4), begun.toFixed(4));
    }
    chain.notes.length = 0;
  }
});

Deno.test("rotations are compared on windows that no step takes, where there are some", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_llama3_gqa_tied");
  const tokens = await chain.tokens(64);
  // Two steps of one window, the first loss of a third step, and the same of what is held.
  const params = { method: "network", context: 16, batch: 1, held: 1, rate: 1e-9 } as const;
  await chain.run(learn_rotation, { model, tokens }, { ...params, steps: 2 });
  const [first] = comparedBy(chain.notes);
  assert.ok(chain.notes.some((note) => note.endsWith(", on 1 window that no step read")));
  const { path } = await chain.run(learn_rotation, { model, tokens }, { ...params, steps: 3 });
  const [, seen = NaN, next = NaN] = (await readModelRecord(path)).measured.rotation!;
  assert.ok(Math.abs(first - next) < 1e-4, `${first}, ${next}`);
  assert.ok(Math.abs(first - seen) > 1e-2, "the test could not tell");
});

/** The losses by first and by learned rotations, by the note of the stage. */
function comparedBy(notes: readonly string[]): readonly [first: number, learned: number] {
  const words = /^loss ([\d.]+) by the first rotations, ([\d.]+) by the learned, on /;
  const found = notes.map((note) => words.exec(note)).find((match) => match !== null);
  return [Number(found?.[1]), Number(found?.[2])];
}

Deno.test("a text shorter than all steps is read again, and that is told", async () => {
  await using chain = await StageChain.open();
  const model = chain.family("llama_llama3_gqa_tied");
  const inputs = { model, tokens: await chain.tokens(64) };
  const progress: string[] = [];
  const params = { steps: 3, batch: 2, context: 16 };
  const learned = await chain.run(learn_rotation, inputs, params, {
    progress: (done, total) => progress.push(`${done} of ${total}`),
  });
  assert.ok(
    chain.notes.includes(
      "the text has 4 windows for 3 steps of 2: it is read 1.5 times",
    ),
    chain.notes.join(),
  );
  assert.ok(chain.notes.some((note) => note.endsWith(", on windows that steps have read as well")));
  assert.ok(chain.notes.some((note) => /^step 3 of 3: loss \d+\.\d{4}$/.test(note)));
  const { measured } = await readModelRecord(learned.path);
  assert.equal(measured.rotation?.length, 3);
  const { sections } = (await describePath(learned.path, { deep: false }))!;
  const [chart] = sections.find(({ title }) => title === "How rotations were learned")!.charts!;
  assert.deepEqual(
    chart!.series[0]!.points,
    measured.rotation.map((loss, step) => [step + 1, loss]),
  );
  // Steps, and parts of them.
  for (const one of ["0.125 of 3", "1 of 3", "2.5 of 3", "3 of 3"]) {
    assert.ok(progress.includes(one), progress.join());
  }
});
