import { strict as assert } from "node:assert";
import { f32 } from "../../kernels/device/tensor.ts";
import { quantizeRows } from "../../kernels/mod.ts";
import { DEVICES } from "../support/devices.ts";
import { launch } from "../support/launch.ts";

for (const [on, open] of Object.entries(DEVICES)) {
  Deno.test(`rows become codes, scales and sums as written out by hand on ${on}`, async () => {
    await using device = await open();
    const x = f32([3, 4], [127, 0.5, 1.5, -2.5, -254, 3, 2, 1, 2 ** -19, 0, 0, -(2 ** -20)]);
    const { codes, rows } = await launch(device, quantizeRows, {
      inputs: { x },
      names: ["codes", "rows"],
    });
    assert.deepEqual([...codes!.data], [0xfe02007f, 0x00010281, 0]);
    // 2^-19 / 127 is nothing in half precision, and 1 takes its place.
    assert.deepEqual([...rows!.data], [1, 127 + 0 + 2 - 2, 2, 2 * (-127 + 2 + 1 + 0), 1, 0]);
  });
}
