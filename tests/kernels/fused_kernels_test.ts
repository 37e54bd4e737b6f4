import { strict as assert } from "node:assert";
import type { HostTensor } from "../../kernels/device/device.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import type { AnyKernel } from "../../kernels/device/kernel.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import {
  matmul,
  matmulCodes,
  matmulInt8,
  normQuantize,
  quantizeRows,
  rmsNorm,
  siluMul,
  siluQuantize,
} from "../../kernels/mod.ts";
import { randomTensor } from "../support/random.ts";

type Hosts = Readonly<Record<string, HostTensor>>;

/** The content of some inputs and outputs after a launch. */
async function run(
  gpu: Gpu,
  kernel: AnyKernel,
  { inputs, options = {}, names }: {
    readonly inputs: Hosts;
    readonly options?: object;
    readonly names: readonly string[];
  },
): Promise<Hosts> {
  using stack = new DisposableStack();
  const given = Object.fromEntries(
    Object.entries(inputs).map(([name, host]) => [name, stack.use(gpu.upload(host))]),
  );
  const outputs = gpu.run(kernel, given, options);
  for (const output of Object.values(outputs)) stack.use(output);
  const read: Record<string, HostTensor> = {};
  for (const name of names) read[name] = await gpu.read({ ...given, ...outputs }[name]!);
  return read;
}

function rows(count: number, columns: number, seed: string): HostTensor {
  return randomTensor({ dtype: "f32", shape: [count, columns] }, seed);
}

for (const as of ["software", "gpu"] as const) {
  for (const range of [undefined, 2.5]) {
    const options = range === undefined ? {} : { range };
    const words = range === undefined ? "measured" : "given";
    Deno.test(`norm and codes in one launch have the bits of two, scales ${words}, planned for ${as}`, async () => {
      await using gpu = await Gpu.open({ as });
      for (const [count, columns] of [[1, 72], [37, 576], [5, 2304]] as const) {
        const inputs = {
          x: rows(count, columns, "x"),
          gain: f32([columns], rows(1, columns, "g").data),
        };
        const residual = rows(count, columns, "residual");
        for (const given of [inputs, { ...inputs, residual }]) {
          const more = "residual" in given ? ["residual"] : [];
          const normed = await run(gpu, rmsNorm, {
            inputs: given,
            options: { eps: 1e-5 },
            names: ["y", ...more],
          });
          const two = await run(gpu, quantizeRows, {
            inputs: { x: normed.y! },
            options,
            names: ["codes", "rows"],
          });
          const { residual: sum, ...one } = await run(gpu, normQuantize, {
            inputs: given,
            options: { eps: 1e-5, ...options },
            names: ["codes", "rows", ...more],
          });
          assert.deepEqual(one, two);
          assert.deepEqual(sum, normed.residual);
        }
      }
    });

    Deno.test(`gate and codes in one launch have the bits of two, scales ${words}, planned for ${as}`, async () => {
      await using gpu = await Gpu.open({ as });
      for (const [count, columns] of [[1, 72], [37, 576], [5, 2304]] as const) {
        const x = rows(count, 2 * columns, "x");
        const { y } = await run(gpu, siluMul, { inputs: { gate: x }, names: ["y"] });
        const names = ["codes", "rows"];
        const two = await run(gpu, quantizeRows, { inputs: { x: y! }, options, names });
        assert.deepEqual(await run(gpu, siluQuantize, { inputs: { x }, options, names }), two);
      }
    });
  }
}

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
    const x = rows(21, INNER, "x");
    const product = async (first: number, count: number) => {
      const part = f32(
        [count, INNER],
        x.data.slice(first * INNER, (first + count) * INNER) as Float32Array,
      );
      const y = f32([count, OUTPUTS]);
      if (name !== "matmulInt8") {
        return (await run(gpu, kernel, {
          inputs: { x: part, ...weights, y },
          options,
          names: ["y"],
        })).y!.data;
      }
      const { codes, rows } = await run(gpu, quantizeRows, {
        inputs: { x: part },
        names: ["codes", "rows"],
      });
      const inputs = { x: codes!, x_rows: rows!, ...weights, y };
      return (await run(gpu, kernel, { inputs, options, names: ["y"] })).y!.data;
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
