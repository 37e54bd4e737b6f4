import { strict as assert } from "node:assert";
import { f32 } from "../../kernels/device/tensor.ts";
import { normQuantize, quantizeRows, rmsNorm } from "../../kernels/mod.ts";
import { launch } from "../support/launch.ts";
import { randomRows } from "../support/random.ts";
import { ENGINES } from "../support/devices.ts";

for (const [on, open] of Object.entries(ENGINES)) {
  for (const range of [undefined, 2.5]) {
    const options = range === undefined ? {} : { range };
    const words = range === undefined ? "measured" : "given";
    Deno.test(`norm and codes in one launch have the bits of two, scales ${words} on ${on}`, async () => {
      await using gpu = await open();
      for (const [count, columns] of [[1, 72], [37, 576], [5, 2304]] as const) {
        const inputs = {
          x: randomRows(count, columns, "x"),
          gain: f32([columns], randomRows(1, columns, "g").data),
        };
        const residual = randomRows(count, columns, "residual");
        const bias = f32([columns], randomRows(1, columns, "bias").data);
        const forms = [inputs, { ...inputs, residual }, { ...inputs, bias, residual }, inputs];
        for (const [at, given] of forms.entries()) {
          const more = "residual" in given ? ["residual"] : [];
          const norm = { eps: 1e-5, centered: at >= 2 };
          const normed = await launch(gpu, rmsNorm, {
            inputs: given,
            options: norm,
            names: ["y", ...more],
          });
          const two = await launch(gpu, quantizeRows, {
            inputs: { x: normed.y! },
            options,
            names: ["codes", "rows"],
          });
          const { residual: sum, ...one } = await launch(gpu, normQuantize, {
            inputs: given,
            options: { ...norm, ...options },
            names: ["codes", "rows", ...more],
          });
          assert.deepEqual(one, two);
          assert.deepEqual(sum, normed.residual);
        }
      }
    });
  }
}
