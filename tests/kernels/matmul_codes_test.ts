import { strict as assert } from "node:assert";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { matmulCodes } from "../../kernels/mod.ts";
import { DEVICES } from "../support/devices.ts";
import { launch } from "../support/launch.ts";

/** Codes 0 to 7. */
const NIBBLES = [0x76543210];
/** Sum of k * (k + 1) and of k + 1 over the 8 values. */
const [STAIRS, COUNT] = [168, 36];

for (const [on, open] of Object.entries(DEVICES)) {
  Deno.test(`the three zero points of codes are as written out by hand on ${on}`, async () => {
    await using device = await open();
    const y = async (word: number, zero: "none" | "pre_scale" | "post_scale") => {
      const inputs = {
        x: f32([1, 8], [1, 2, 3, 4, 5, 6, 7, 8]),
        weight: u32([1, 1], [word]),
        // Scale 0.5 below, zero 3 above.
        groups: u32([1, 1], [0x42003800]),
        y: f32([1, 1]),
      };
      const options = { bits: 4, group: 8, zero } as const;
      return (await launch(device, matmulCodes, { inputs, options, names: ["y"] })).y!.data[0];
    };
    assert.equal(await y(NIBBLES[0]!, "none"), STAIRS / 2);
    assert.equal(await y(0xffffffff, "none"), -COUNT / 2);
    assert.equal(await y(0x00000008, "none"), -4);
    assert.equal(await y(0xffffffff, "pre_scale"), 12 * COUNT / 2);
    assert.equal(await y(NIBBLES[0]!, "pre_scale"), (STAIRS - 3 * COUNT) / 2);
    assert.equal(await y(NIBBLES[0]!, "post_scale"), STAIRS / 2 - 3 * COUNT);
  });
}
