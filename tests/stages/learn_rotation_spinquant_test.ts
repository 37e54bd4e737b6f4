import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import type { Artifact } from "../../pipeline/artifact.ts";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import { bytesOf } from "../../stages/formats/half.ts";
import { openSafetensors } from "../../stages/formats/safetensors/file.ts";
import { calibrate, calibrate_kv, learn_rotation, quantize } from "../../stages/mod.ts";
import { Model } from "../../stages/models/model.ts";
import { logLikelihoods } from "../support/log_likelihoods.ts";
import { StageChain } from "../support/stage_chain.ts";

const ORACLE = fileURLToPath(new URL("../testdata/spinquant.st", import.meta.url));
const RECIPE = new URL("../../configs/spinquant.yaml", import.meta.url);
/** Steps of the recipe whose settings the oracle has too, but for these, which are the definition's. */
const { learned, w4a4, w4a4kv4 } = parse(await Deno.readTextFile(RECIPE)).steps;
const [BATCH, RATE, CLIP] = [2, 1.5, 1];

Deno.test("SpinQuant's recipe learns as its definition in PyTorch does, and scores as it", async () => {
  await using chain = await StageChain.open();
  using oracle = await openSafetensors(ORACLE);
  const ids = async (name: string) => Uint32Array.from(await oracle.read(name), Number);
  const [curves = 0, steps = 0] = oracle.tensors.get("losses")!.shape;
  const [, context = 0] = oracle.tensors.get("calibration")!.shape;
  const tokens = await tokensOf(chain, await ids("calibration"));
  const { seed: _, ...settings } = learned.with;
  const rotated = await chain.run(learn_rotation, { model: chain.embedded(), tokens }, {
    ...settings,
    activations: { ...settings.activations, clip: CLIP },
    steps,
    rate: RATE,
    batch: BATCH,
    context,
  });

  const all = await oracle.read("losses") as Float32Array;
  const oracles = Array.from(
    { length: curves },
    (_, i) => all.subarray(i * steps, (i + 1) * steps),
  );
  const losses = Float32Array.from(lossesOf(chain.notes));
  assert.equal(losses.length, steps);
  // Every curve against the mean of the oracle's others: ours is no further away than the furthest.
  const distances = oracles.map((curve) => away(curve, oracles.filter((other) => other !== curve)));
  const own = away(losses, oracles);
  assert.ok(own < 1.1 * Math.max(...distances), `${own}, ${distances}`);
  // Windows differ by far more than curves do, so the test could tell.
  assert.ok(own < away(losses.toReversed(), oracles) / 4);

  const model = await chain.run(quantize, { model: rotated, tokens }, {
    ...w4a4.with,
    activations: { ...w4a4.with.activations, clip: CLIP },
    windows: 8,
    context,
  });
  const few = { windows: 2, context, gram: false, rows: 0 };
  const stats = await chain.run(calibrate, { model: rotated, tokens }, few);
  const whole = await chain.run(calibrate_kv, { model, stats }, w4a4kv4.with);
  const test = await ids("test");
  const [plain = NaN] = await oracle.read("plain");
  const quantized = (await oracle.read("quantized") as Float32Array).slice();
  const [before, after] = [
    await meanOf(chain.embedded(), { test, context }),
    await meanOf(whole, { test, context }),
  ];
  assert.ok(Math.abs(before - Number(plain)) < 1e-3, `${before}, ${plain}`);
  // Perplexity within half a percent of every seed's, which lie that near themselves.
  for (const one of quantized) assert.ok(Math.abs(after - one) < 5e-3, `${after}, ${one}`);
  assert.ok(Math.max(...quantized) < Number(plain) - 5e-3, "the test could not tell");
});

/** The losses of all steps, by the notes of the stage. */
function lossesOf(notes: readonly string[]): number[] {
  return notes.flatMap((note) => {
    const [, loss] = /^step \d+ of \d+: loss ([\d.]+)$/.exec(note) ?? [];
    return loss === undefined ? [] : [Number(loss)];
  });
}

/** The root of the mean squared distance of a curve to the mean of others. */
function away(curve: Float32Array, others: readonly Float32Array[]): number {
  const squares = curve.map((loss, step) => {
    const mean = others.reduce((sum, other) => sum + other[step]!, 0) / others.length;
    return (loss - mean) ** 2;
  });
  return Math.sqrt(squares.reduce((a, b) => a + b) / curve.length);
}

async function tokensOf(
  chain: StageChain,
  ids: Uint32Array<ArrayBuffer>,
): Promise<Artifact<"tokens">> {
  const path = await chain.directory();
  await Deno.writeFile(`${path}/tokens.u32`, bytesOf(ids));
  return { kind: "tokens", key: path, digest: `tokens in ${path}`, path, scores: {} };
}

/** The mean log-likelihood of the text. */
async function meanOf(
  { path }: Artifact,
  { test, context }: { readonly test: Uint32Array; readonly context: number },
): Promise<number> {
  await using device = await Cpu.open();
  using model = await Model.open(path, device, { weightBytes: Infinity });
  const all: number[] = [];
  const options = { context, group: 1, signal: new AbortController().signal, progress() {} };
  for await (const values of logLikelihoods(device, model, test, options)) all.push(...values);
  return all.reduce((sum, value) => sum + value, 0) / all.length;
}
