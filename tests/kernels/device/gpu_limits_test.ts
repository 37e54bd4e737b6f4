import { strict as assert } from "node:assert";
import { byteLength, elements, f32, type TensorSpec } from "../../../kernels/device/tensor.ts";
import { Gpu } from "../../../kernels/device/gpu.ts";
import type { AnyKernel } from "../../../kernels/device/kernel.ts";
import { type Limits, PROMISED_LIMITS } from "../../../kernels/device/limits.ts";
import * as kernels from "../../../kernels/mod.ts";
import { compare } from "../../support/case_check.ts";
import { launch } from "../../support/launch.ts";
import { assertWithin } from "../../support/tolerance.ts";
import { guardedGpu } from "../../support/guarded_pool.ts";
import { casesOf, expectations, type LabelledCase } from "../../support/kernel_cases.ts";

Deno.test("kernels agree with their references on a device that has WebGPU's default limits", async () => {
  await using most = await guardedGpu();
  await using gpu = await guardedGpu({ modest: true });
  const { turns: _, ...limits } = gpu.device.limits;
  assert.deepEqual(limits, PROMISED_LIMITS);
  let others = 0;
  for (const [name, kernel] of Object.entries<AnyKernel>(kernels)) {
    const expectation = expectations(kernel);
    for (const one of casesOf(name, kernel)) {
      for (const spec of Object.values<TensorSpec>(one.inputs)) {
        assert.ok(byteLength(spec) <= PROMISED_LIMITS.bindingBytes, one.label);
      }
      // What is planned alike is the same launch as in the conformance tests.
      const planned = planOf(kernel, one, most.device.limits);
      if (one.timedOnly || planOf(kernel, one, PROMISED_LIMITS) === planned) continue;
      others++;
      await compare(gpu, kernel, one, expectation(one));
    }
  }
  assert.ok(others > 0, "no plan differs from that of this machine's adapter");
});

Deno.test("sums that this driver would cut short are refused, and shorter ones are whole", async () => {
  await using gpu = await Gpu.open();
  const { turns } = gpu.limits;
  const ones = (shape: number[]) => f32(shape, Array(elements(shape)).fill(1));
  const grams = async (rows: number) => {
    const inputs = { x: ones([rows, 4]), sum: f32([4, 4]) };
    const { sum } = await launch(gpu, kernels.gram, { inputs, names: ["sum"] });
    assert.equal(sum!.data[1], rows);
  };
  const products = async (inner: number) => {
    const inputs = { x: ones([1, inner]), weight: ones([1, inner]), y: f32([1, 1]) };
    const { y } = await launch(gpu, kernels.matmul, { inputs, names: ["y"] });
    assert.equal(y!.data[0], inner);
  };
  const attends = async (keys: number) => {
    const rising = Array.from({ length: 64 * keys }, (_, i) => Math.floor(i / 64) / keys);
    const inputs = { q: ones([1, 1, 64]), k: ones([keys, 1, 64]), v: f32([keys, 1, 64], rising) };
    const { y } = await launch(gpu, kernels.attention, { inputs, names: ["y"] });
    assertWithin(y!.data[0]!, 0.5, 1e-4);
  };
  // The largest multiples of 16 for which llvmpipe's 65,535 turns are enough.
  await grams(58_240);
  await products(52_416);
  await attends(32_752);
  const beyond = { grams: grams(58_256), products: products(52_432), attends: attends(65_536) };
  for (const sum of Object.values(beyond)) {
    if (turns === undefined) await sum;
    else await assert.rejects(sum, /Cannot compute on .*llvmpipe.*, expected at most 65535/s);
  }
});

function planOf(kernel: AnyKernel, { inputs, options }: LabelledCase, limits: Limits): string {
  return JSON.stringify(kernel.plan(inputs, options, limits));
}
