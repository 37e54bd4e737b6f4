import { strict as assert } from "node:assert";
import { f32 } from "../../kernels/device/tensor.ts";
import { hadamard } from "../../kernels/mod.ts";
import { applyHadamard, hadamardFactor, leftFactor } from "../../stages/quant/hadamard.ts";
import { randomRows } from "../support/random.ts";
import { ENGINES } from "../support/devices.ts";

for (const [on, open] of Object.entries(ENGINES)) {
  Deno.test(`the hadamard kernel is applyHadamard() on ${on}`, async () => {
    await using gpu = await open();
    for (const size of [64, 72, 768, 1536, 4096, 11008, 14336, 16384]) {
      const factor = hadamardFactor(size);
      const values = randomRows(3, size, `hadamard ${3 * size}`).data as Float32Array;
      const left = leftFactor(factor);
      using x = gpu.upload(f32([3, size], values));
      using matrix = left ? gpu.upload(left) : undefined;
      using y = gpu.run(hadamard, { x, ...matrix && { left: matrix } }, {}).y;
      const got = (await gpu.read(y)).data;
      applyHadamard(values, factor);
      let [error, norm] = [0, 0];
      values.forEach((value, i) => {
        error += (value - got[i]!) ** 2;
        norm += value ** 2;
      });
      assert.ok(Math.sqrt(error / norm) < 1e-6, `${size}: ${Math.sqrt(error / norm)}`);
    }
  });
}
