import { strict as assert } from "node:assert";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { openStats } from "../../../stages/calibration/stats.ts";
import { calibrate, learn_rotation, load } from "../../../stages/mod.ts";
import { openModel } from "../../../stages/models/architecture.ts";
import { kurtosisLoss } from "../../../stages/rotation/kurtosis.ts";
import { firstRotations } from "../../../stages/rotation/learned_rotations.ts";
import { normals } from "../../support/random.ts";
import { StageChain } from "../../support/stage_chain.ts";

const FEW = { windows: 2, context: 32, rows: 24, attention_windows: 0, gram: false };

/** The mean fourth power of x R over all norms, value by value from the definition. */
async function fourthPowers(
  files: Awaited<ReturnType<typeof openModel>>,
  stats: Awaited<ReturnType<typeof openStats>>,
  rotation: ArrayLike<number>,
): Promise<number> {
  const { layers, config: { hidden } } = files.architecture;
  let [sum, count] = [0, 0];
  for (const { sites } of layers) {
    for (const { layer, name, fedBy, residual } of sites) {
      if (residual !== "read") continue;
      const { rows, values } = await stats.rows(layer, name);
      const gains = await files.checkpoint.read(fedBy.weight);
      for (let row = 0; row < rows; row++) {
        for (let j = 0; j < hidden; j++) {
          let product = 0;
          for (let i = 0; i < hidden; i++) {
            product += values[row * hidden + i]! / gains[i]! * rotation[i * hidden + j]!;
          }
          sum += product ** 4;
        }
      }
      count += rows * hidden;
    }
  }
  return sum / count;
}

Deno.test("kurtosis is the mean fourth power behind R1, and its gradient is its slope", async () => {
  const device = await Cpu.open();
  await using chain = await StageChain.open(device);
  const model = chain.family("llama_llama3_gqa_tied");
  const kept = await chain.run(calibrate, { model, tokens: await chain.tokens(64) }, FEW);
  using stats = await openStats(kept, model);
  using files = await openModel(model.path);
  const rotations = firstRotations(files.architecture.config, 1);
  const { loss, gradients } = await kurtosisLoss(device, rotations, { files, stats });
  const expected = await fourthPowers(files, stats, rotations.residual);
  assert.ok(Math.abs(loss - expected) < 1e-5 * expected, `${loss}, ${expected}`);
  assert.deepEqual(gradients.heads, []);
  const source = normals("a direction");
  const along = Float64Array.from(rotations.residual, () => source.next().value);
  const at = (t: number) => {
    return fourthPowers(files, stats, rotations.residual.map((value, i) => value + t * along[i]!));
  };
  const slope = (await at(1e-3) - await at(-1e-3)) / 2e-3;
  const got = gradients.residual.reduce((sum, value, i) => sum + value * along[i]!, 0);
  assert.ok(Math.abs(got - slope) < 1e-3 * Math.abs(slope), `${got}, ${slope}`);
});

Deno.test("learning by kurtosis spreads channels, and leaves logits as they were", async () => {
  await using chain = await StageChain.open();
  const model = await chain.run(load, {}, {
    model: chain.family("llama_llama3_gqa_tied").path,
    dtype: "float32",
  });
  const stats = await chain.run(calibrate, { model, tokens: await chain.tokens(64) }, FEW);
  const learned = await chain.run(learn_rotation, { model, stats }, {
    method: "kurtosis",
    steps: 40,
  });
  const words = chain.notes.findLast((note) => note.startsWith("loss"))!;
  const [, begun = NaN, ended = NaN] = /^loss ([\d.]+) .*, ([\d.]+) by the learned/.exec(words)!
    .map(Number);
  assert.ok(ended < 0.98 * begun, words);
  const [before, after] = [await chain.logits(model), await chain.logits(learned)];
  before.forEach((value, i) => assert.ok(Math.abs(after[i]! - value) < 1e-4));
});
