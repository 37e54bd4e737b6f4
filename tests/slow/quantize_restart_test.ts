// Slow: kills a program that quantizes, and runs it again.
import { strict as assert } from "node:assert";
import { doneOf, killedRun, partsOf } from "../support/killed_run.ts";

const MANIFEST = `
steps:
  source: { stage: load }
  text: { stage: tokenize, from: { model: source }, with: { text: "stories:calibration", bytes: 4000 } }
  stats: { stage: calibrate, from: { model: source, tokens: text }, with: { windows: 2, context: 64, rows: 8 } }
  w4:
    stage: quantize
    from: { model: source, stats: stats }
    with: { weights: { group: 64 }, skips: [up_proj, down_proj] }
  w4q:
    stage: quantize
    from: { model: source, tokens: text }
    with: { weights: { group: 64 }, skips: [up_proj, down_proj], inputs: quantized, windows: 2, context: 64 }
`;

Deno.test("a quantize that was killed goes on at its layer and gives the codes of one left alone", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/a.yaml`, MANIFEST);
    const alone = await killedRun(directory, "alone");
    const first = await killedRun(directory, "killed", { step: "w4", done: 2 });
    const second = await killedRun(directory, "killed", { step: "w4q", done: 2 });
    const third = await killedRun(directory, "killed");
    assert.deepEqual([...partsOf(first, "w4")].slice(0, 3), [0, 1, 2]);
    assert.equal(doneOf(first, "w4"), undefined);
    // The kill may reach the process when it has just finished the layer it told of last.
    assert.ok(partsOf(second, "w4")[0]! >= partsOf(first, "w4").at(-1)!);
    assert.deepEqual(partsOf(second, "w4q").slice(0, 3), [0, 1, 2]);
    assert.equal(doneOf(second, "w4q"), undefined);
    assert.ok(partsOf(third, "w4q")[0]! >= partsOf(second, "w4q").at(-1)!);
    for (const [step, resumed] of [["w4", second], ["w4q", third]] as const) {
      const [expected, found] = [doneOf(alone, step)!, doneOf(resumed, step)!];
      assert.notEqual(found.path, expected.path);
      assert.equal(found.digest, expected.digest);
    }
    const states = third.flatMap((event) => event.type === "summary" ? event.steps : []);
    assert.deepEqual(states.map(({ state }) => state), ["hit", "hit", "hit", "hit", "run"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
