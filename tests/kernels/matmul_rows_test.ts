import { strict as assert } from "node:assert";
import { Gpu } from "../../kernels/device/gpu.ts";
import type { AnyKernel } from "../../kernels/device/kernel.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { matmul, matmulCodes, matmulInt8, quantizeRows } from "../../kernels/mod.ts";
import { type Hosts, launch } from "../support/launch.ts";
import { randomRows, randomTensor } from "../support/random.ts";

const INNER = 576;
const OUTPUTS = 70;

/** A product by name: what it takes for rows, and the names of what has a row each. */
const PRODUCTS: readonly {
  readonly name: string;
  readonly kernel: AnyKernel;
  readonly options: object;
  readonly weights: Hosts;
}[] = [
  {
    name: "matmul",
    kernel: matmul,
    options: {},
    weights: { weight: randomTensor({ dtype: "f16", shape: [OUTPUTS, INNER] }, "w") },
  },
  {
    name: "matmulCodes",
    kernel: matmulCodes,
    options: { bits: 4, group: 64, zero: "none" },
    weights: {
      weight: randomTensor({ dtype: "u32", shape: [OUTPUTS, INNER / 8] }, "w"),
      groups: u32([OUTPUTS, INNER / 64], Array(OUTPUTS * INNER / 64).fill(0x2400)),
    },
  },
  {
    name: "matmulInt8",
    kernel: matmulInt8,
    options: { bits: 4 },
    weights: {
      weight: randomTensor({ dtype: "u32", shape: [OUTPUTS, INNER / 8] }, "w"),
      w_rows: f32([OUTPUTS, 2], Array(2 * OUTPUTS).fill(0.013)),
    },
  },
];

for (const { name, kernel, options, weights } of PRODUCTS) {
  Deno.test(`a row's product by ${name} has the same bits among any rows on a software adapter`, async () => {
    await using gpu = await Gpu.open({ as: "software" });
    const x = randomRows(21, INNER, "x");
    const product = async (first: number, count: number) => {
      const part = f32(
        [count, INNER],
        x.data.slice(first * INNER, (first + count) * INNER) as Float32Array,
      );
      const y = f32([count, OUTPUTS]);
      if (name !== "matmulInt8") {
        return (await launch(gpu, kernel, {
          inputs: { x: part, ...weights, y },
          options,
          names: ["y"],
        })).y!.data;
      }
      const { codes, rows } = await launch(gpu, quantizeRows, {
        inputs: { x: part },
        names: ["codes", "rows"],
      });
      const inputs = { x: codes!, x_rows: rows!, ...weights, y };
      return (await launch(gpu, kernel, { inputs, options, names: ["y"] })).y!.data;
    };
    const whole = await product(0, 21);
    for (
      const [first, count] of [[0, 1], [3, 1], [5, 2], [6, 3], [2, 4], [9, 5], [11, 8], [
        1,
        17,
      ]] as const
    ) {
      const expected = whole.slice(first * OUTPUTS, (first + count) * OUTPUTS);
      assert.deepEqual(await product(first, count), expected, `${count} rows from ${first}`);
    }
    assert.ok(new Set(whole).size > OUTPUTS);
  });
}
