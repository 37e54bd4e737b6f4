import { strict as assert } from "node:assert";
import { Gpu } from "../../../kernels/device/gpu.ts";
import type { AnyKernel } from "../../../kernels/device/kernel.ts";
import { f32, u32 } from "../../../kernels/device/tensor.ts";
import quotient from "../../../kernels/parts/quotient.wgsl" with { type: "text" };
import { launch } from "../../support/launch.ts";
import { words } from "../../support/random.ts";

/** Quotients from those of the driver, each moved by so many units in the last place. */
const divide = {
  wgsl: `${quotient}
    struct Params { count: u32 }
    @group(0) @binding(0) var<storage, read> a: array<f32>;
    @group(0) @binding(1) var<storage, read> b: array<f32>;
    @group(0) @binding(2) var<storage, read> moved: array<u32>;
    @group(0) @binding(3) var<storage, read_write> y: array<f32>;
    @group(0) @binding(4) var<uniform> params: Params;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x >= params.count) { return; }
      let made = a[id.x] / b[id.x];
      let estimate = bitcast<f32>(bitcast<u32>(made) + select(moved[id.x], 0u, made == 0f));
      y[id.x] = nearest_quotients(vec4f(estimate), vec4f(a[id.x]), b[id.x]).x;
    }`,
  inputs: ["a", "b", "moved"],
  outputs: ["y"],
  plan: ({ a }) => ({
    outputs: { y: a! },
    constants: {},
    params: { count: { u32: a!.shape[0]! } },
    grid: [Math.ceil(a!.shape[0]! / 64), 1, 1],
  }),
} as Partial<AnyKernel> as AnyKernel;

Deno.test("quotients are those nearest, by however many units a driver is off", async () => {
  const [dividends, divisors] = [numbers("a", -60, 60), numbers("b", -24, 24)];
  const few = [1, 3, 5, 15, 127, 254, 255];
  const a: number[] = [];
  const b: number[] = [];
  for (let i = 0; i < 40_000; i++) {
    a.push(dividends.next().value);
    b.push(Math.abs(divisors.next().value));
  }
  for (const by of few) {
    // Quotients just beside powers of two, where units change.
    for (const power of [-20, -3, 0, 1, 7, 20]) {
      for (let off = -6; off <= 6; off++) {
        a.push(by * 2 ** power * (1 + off * 2 ** -24), -by * 2 ** power * (1 + off * 2 ** -23));
        b.push(by, by);
      }
    }
    a.push(0, by, 1e38, 2 ** -100);
    b.push(by, by, by, by);
  }
  await using gpu = await Gpu.open();
  for (const units of [-3, -2, -1, 0, 1, 2, 3]) {
    const inputs = {
      a: f32([a.length], a),
      b: f32([b.length], b),
      moved: u32([a.length], a.map(() => units >>> 0)),
    };
    const { y } = await launch(gpu, divide, { inputs, names: ["y"] });
    inputs.a.data.forEach((dividend, i) => {
      const divisor = inputs.b.data[i]!;
      const wanted = Math.fround(dividend / divisor);
      assert.ok(
        Object.is(y!.data[i], wanted) || (y!.data[i] === 0 && wanted === 0),
        `${dividend} / ${divisor}, ${units} units off: got ${y!.data[i]}, expected ${wanted}`,
      );
    });
  }
});

/** Numbers of 24 random bits and exponents from `low` to `high`. */
function* numbers(seed: string, low: number, high: number): Generator<number, never> {
  const source = words(seed);
  for (;;) {
    const bits = source.next().value;
    const exponent = low + source.next().value % (high - low);
    yield Math.fround((bits & 1 ? -1 : 1) * (1 + (bits >>> 9) * 2 ** -23) * 2 ** exponent);
  }
}
