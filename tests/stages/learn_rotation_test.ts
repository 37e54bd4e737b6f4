import { strict as assert } from "node:assert";
import type { Artifact } from "../../pipeline/artifact.ts";
import { bytesOf } from "../../stages/formats/half.ts";
import { openSafetensors } from "../../stages/formats/safetensors/file.ts";
import { calibrate, learn_rotation, rotate } from "../../stages/mod.ts";
import { readModelRecord } from "../../stages/models/model_record.ts";
import { StageChain } from "../support/stage_chain.ts";

const ORACLE = new URL("../testdata/spinquant.st", import.meta.url).pathname;

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
    assert.ok(chain.notes.some((note) => /^loss 0\.\d+ in the first steps/.test(note)));
  });
}
