import { strict as assert } from "node:assert";
import { quantizeRows, siluMul, siluQuantize } from "../../kernels/mod.ts";
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
        const x = randomRows(count, 2 * columns, "x");
        const { y } = await launch(gpu, siluMul, { inputs: { gate: x }, names: ["y"] });
        const names = ["codes", "rows"];
        const two = await launch(gpu, quantizeRows, { inputs: { x: y! }, options, names });
        assert.deepEqual(await launch(gpu, siluQuantize, { inputs: { x }, options, names }), two);
      }
    });
  }
}
