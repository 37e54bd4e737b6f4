import { strict as assert } from "node:assert";
import type { HostTensor } from "../../kernels/device/device.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import { USUAL_LIMITS } from "../../kernels/device/limits.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { matmulInt8, quantizeRows } from "../../kernels/mod.ts";
import { DEVICES } from "../support/devices.ts";
import { launch } from "../support/launch.ts";
import { randomTensor } from "../support/random.ts";

/** Bytes 1 to 8, and codes 0 to 7. */
const BYTES = [0x04030201, 0x08070605];
const NIBBLES = [0x76543210];
/** Sum of (k + 1) * (k + 1), of k * (k + 1) and of k + 1 over the 8 values. */
const [SQUARES, STAIRS, COUNT] = [204, 168, 36];

for (const [on, open] of Object.entries(DEVICES)) {
  Deno.test(`the three forms of integer product are as written out by hand on ${on}`, async () => {
    await using device = await open();
    const shared = {
      x: u32([1, 2], BYTES),
      x_rows: f32([1, 2], [0.25, 10]),
      w_rows: f32([1, 2], [0.5, 3]),
      y: f32([1, 1]),
    };
    const y = async (
      weight: HostTensor,
      options: Parameters<typeof matmulInt8.plan>[1],
      groups?: HostTensor,
    ) => {
      const inputs = { ...shared, weight, ...(groups ? { groups } : {}) };
      return [...(await launch(device, matmulInt8, { inputs, options, names: ["y"] })).y!.data];
    };
    assert.deepEqual(await y(u32([1, 2], BYTES), { bits: 8 }), [SQUARES / 8]);
    assert.deepEqual(await y(u32([1, 1], NIBBLES), { bits: 4 }), [STAIRS / 8 - 3 * 10]);
    // Scale 3 and zero -5.
    assert.deepEqual(
      await y(u32([1, 1], NIBBLES), { bits: 4, group: 8 }, u32([1, 1], [0xfb03])),
      [(3 * STAIRS + 5 * COUNT) / 8],
    );
  });
}

Deno.test("a product of quantized rows is near the product of the rows", async () => {
  await using device = await Gpu.open();
  const [tokens, inner, outputs] = [20, 256, 48];
  const x = randomTensor({ dtype: "f32", shape: [tokens, inner] }, "x");
  const weight = randomTensor({ dtype: "u32", shape: [outputs, inner / 8] }, "weight");
  const [scale, zero] = [0.02, 7];
  const { codes, rows } = await launch(device, quantizeRows, {
    inputs: { x },
    names: ["codes", "rows"],
  });
  const { y } = await launch(device, matmulInt8, {
    inputs: {
      x: codes!,
      x_rows: rows!,
      weight,
      w_rows: f32([outputs, 2], Array(outputs).fill([scale, scale * zero]).flat()),
      y: f32([tokens, outputs]),
    },
    options: { bits: 4 },
    names: ["y"],
  });
  let [error, size] = [0, 0];
  for (let m = 0; m < tokens; m++) {
    for (let n = 0; n < outputs; n++) {
      let wanted = 0;
      for (let k = 0; k < inner; k++) {
        const code = (weight.data[n * inner / 8 + (k >> 3)]! >>> (4 * (k % 8))) & 15;
        wanted += x.data[m * inner + k]! * (code - zero) * scale;
      }
      error += (y!.data[m * outputs + n]! - wanted) ** 2;
      size += wanted ** 2;
    }
  }
  // Steps are about 3 / 127 of a standard deviation, and their error 1 / sqrt(12) of a step. Errors
  // meet the codes without their zero, whose mean square is 3.6 times as large.
  const step = (3 / 127) ** 2 / 12;
  assert.ok(error / size > 0.2 * step && error / size < 8 * step, `${error / size} of ${step}`);
});

Deno.test("products that cannot be are refused", () => {
  const fits = {
    x: { dtype: "u32", shape: [2, 12] },
    x_rows: { dtype: "f32", shape: [2, 2] },
    weight: { dtype: "u32", shape: [5, 6] },
    w_rows: { dtype: "f32", shape: [5, 2] },
    groups: { dtype: "u32", shape: [5, 1] },
    y: { dtype: "f32", shape: [2, 5] },
  } as const;
  const refuses = (change: object, options: object, message: RegExp) =>
    assert.throws(
      () =>
        matmulInt8.plan({ ...fits, ...change }, { bits: 4, group: 24, ...options }, USUAL_LIMITS),
      { name: "RangeError", message },
    );
  assert.ok(matmulInt8.plan(fits, { bits: 4, group: 24 }, USUAL_LIMITS));
  refuses({}, { group: 20 }, /groups of 20: expected a multiple of 8 that divides 48/);
  refuses({}, { group: 16 }, /groups u32\[5, 1\].*u32\[5, 2\]/);
  refuses({}, { bits: 8 }, /weight u32\[5, 6\]: expected u32\[outputs, 12\]/);
  refuses({}, { row: 3, rows: 3 }, /weight rows 3 to 6: there are 5/);
  refuses({}, { column: 1 }, /columns 1 to 6 of y/);
  refuses({ w_rows: { dtype: "f32", shape: [5] } }, {}, /w_rows f32\[5\]: expected f32\[5, 2\]/);
  refuses({ x_rows: { dtype: "f32", shape: [1, 2] } }, {}, /x_rows f32\[1, 2\]: expected/);
  refuses({ bias: { dtype: "f32", shape: [4] } }, {}, /bias f32\[4\]: expected f32\[5\]/);
  refuses(
    { x: { dtype: "u32", shape: [2, 2 ** 16] }, weight: { dtype: "u32", shape: [5, 2 ** 15] } },
    { group: 128 },
    /sum 262144 products in 32 bits: expected at most 131072/,
  );
  assert.throws(
    () => matmulInt8.plan(fits, { bits: 4 }, USUAL_LIMITS),
    /groups u32\[5, 1\] with 4 bits: expected none without a group size/,
  );
});
