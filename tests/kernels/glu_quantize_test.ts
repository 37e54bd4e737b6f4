import { strict as assert } from "node:assert";
import { glu, gluQuantize, quantizeRows } from "../../kernels/mod.ts";
import { launch } from "../support/launch.ts";
import { randomRows } from "../support/random.ts";
import { ENGINES } from "../support/devices.ts";

for (const [on, open] of Object.entries(ENGINES)) {
  for (const range of [undefined, 2.5]) {
    const options = range === undefined ? {} : { range };
    const words = range === undefined ? "measured" : "given";
    Deno.test(`gate and codes in one launch have the bits of two, scales ${words} on ${on}`, async () => {
      await using gpu = await open();
      for (const [count, columns] of [[1, 72], [37, 576], [5, 2304]] as const) {
        for (const activation of ["silu", "gelu_pytorch_tanh"] as const) {
          const x = randomRows(count, 2 * columns, "x");
          const one = { inputs: { gate: x }, options: { activation }, names: ["y"] };
          const { y } = await launch(gpu, glu, one);
          const names = ["codes", "rows"];
          const two = await launch(gpu, quantizeRows, { inputs: { x: y! }, options, names });
          const both = { inputs: { x }, options: { ...options, activation }, names };
          assert.deepEqual(await launch(gpu, gluQuantize, both), two);
        }
      }
    });
  }
}
