// Slow: kills a program that learns rotations, and runs it again.
import { strict as assert } from "node:assert";
import { doneOf, killedRun, partsOf } from "../support/killed_run.ts";

/** Both ways of learning; the second walks through statistics, the first through the network. */
const MANIFEST = `
steps:
  source: { stage: load }
  text: { stage: tokenize, from: { model: source }, with: { text: "stories:calibration", bytes: 4000 } }
  stats: { stage: calibrate, from: { model: source, tokens: text }, with: { windows: 2, context: 64, rows: 8 } }
  network:
    stage: learn_rotation
    from: { model: source, tokens: text }
    with: { method: network, steps: 5, batch: 2, context: 32, seed: 1 }
  kurtosis:
    stage: learn_rotation
    from: { model: source, stats: stats }
    with: { method: kurtosis, steps: 5, seed: 1 }
`;

Deno.test("learn_rotation that was killed goes on at its step and gives the matrices of one left alone", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/a.yaml`, MANIFEST);
    const alone = await killedRun(directory, "alone");
    // In the third step: a step is kept after the last word of its work.
    const first = await killedRun(directory, "killed", { step: "network", done: 2.1 });
    // Inside a step: it is taken again from its beginning.
    const second = await killedRun(directory, "killed", { step: "network", done: 3.5 });
    const third = await killedRun(directory, "killed", { step: "kurtosis", done: 2 });
    const fourth = await killedRun(directory, "killed");
    for (const told of [first, second]) assert.equal(doneOf(told, "network"), undefined);
    assert.equal(doneOf(third, "kurtosis"), undefined);
    const begun = (told: typeof first, step: string) => Math.floor(partsOf(told, step)[0]!);
    const reached = (told: typeof first, step: string) => Math.floor(partsOf(told, step).at(-1)!);
    assert.ok(reached(first, "network") >= 2);
    assert.ok(begun(second, "network") >= 2, "two steps were finished");
    assert.ok(begun(third, "network") >= 3, "three were");
    assert.ok(begun(fourth, "kurtosis") >= 2);
    for (const [step, resumed] of [["network", third], ["kurtosis", fourth]] as const) {
      const [expected, found] = [doneOf(alone, step)!, doneOf(resumed, step)!];
      assert.notEqual(found.path, expected.path);
      assert.equal(found.digest, expected.digest);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
