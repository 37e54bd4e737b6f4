import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { openSafetensors } from "../../../stages/formats/safetensors/file.ts";
import { cayleyStep } from "../../../stages/rotation/cayley.ts";
import { DEVICES } from "../../support/devices.ts";

const ORACLE = fileURLToPath(new URL("../../testdata/spinquant.st", import.meta.url));
const SIZE = 24;

async function oracle(name: string): Promise<Float32Array<ArrayBuffer>> {
  using file = await openSafetensors(ORACLE);
  return await file.read(`cayley.${name}`) as Float32Array<ArrayBuffer>;
}

for (const [on, open] of Object.entries(DEVICES)) {
  Deno.test(`a step of Cayley SGD is that of its definition in PyTorch on ${on}`, async () => {
    await using device = await open();
    const [matrix, gradient] = [await oracle("matrix"), await oracle("gradient")];
    for (const [name, rate] of [["small", 0.01], ["capped", 1.5]] as const) {
      const step = { size: SIZE, gradient, rate, retract: false };
      const made = await cayleyStep(device, matrix, step);
      const expected = await oracle(name);
      made.forEach((value, i) => assert.ok(Math.abs(value - expected[i]!) < 2e-6));
      const retracted = await cayleyStep(device, matrix, { ...step, retract: true });
      // What is orthogonal already stays.
      retracted.forEach((value, i) => assert.ok(Math.abs(value - expected[i]!) < 2e-6));
    }
    assert.notDeepEqual(await oracle("small"), await oracle("capped"));
  });
}

Deno.test("steps of Cayley SGD go down and stay orthogonal", async () => {
  await using device = await DEVICES["the CPU engine"]!();
  const [target, start] = [await oracle("matrix"), new Float32Array(SIZE * SIZE)];
  for (let i = 0; i < SIZE; i++) start[i * SIZE + i] = 1;
  // From the unit matrix no rotation leads to one that turns a direction around.
  const [first] = target;
  assert.ok(first !== undefined);
  const gradient = target.map((value) => -value);
  const loss = (matrix: Float32Array) =>
    matrix.reduce((sum, value, i) => sum + value * gradient[i]!, 0);
  let matrix = start;
  const losses = [loss(matrix)];
  for (let step = 0; step < 60; step++) {
    matrix = await cayleyStep(device, matrix, { size: SIZE, gradient, rate: 1.5, retract: false });
    losses.push(loss(matrix));
  }
  losses.slice(1).forEach((after, i) => assert.ok(after <= losses[i]! + 1e-5, `step ${i}`));
  // The nearest rotation has a loss of -24, or of -22 where a direction would have to turn around.
  assert.ok(losses.at(-1)! < -21.5, `${losses.at(-1)}`);
  for (let i = 0; i < SIZE; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let c = 0; c < SIZE; c++) sum += matrix[i * SIZE + c]! * matrix[j * SIZE + c]!;
      assert.ok(Math.abs(sum - (i === j ? 1 : 0)) < 2e-3);
    }
  }
});
