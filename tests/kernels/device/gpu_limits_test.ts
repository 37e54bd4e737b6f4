import { strict as assert } from "node:assert";
import { byteLength, type TensorSpec } from "../../../kernels/device/tensor.ts";
import type { AnyKernel } from "../../../kernels/device/kernel.ts";
import { type Limits, PROMISED_LIMITS } from "../../../kernels/device/limits.ts";
import * as kernels from "../../../kernels/mod.ts";
import { compare } from "../../support/case_check.ts";
import { guardedGpu } from "../../support/guarded_pool.ts";
import { casesOf, expectations, type LabelledCase } from "../../support/kernel_cases.ts";

Deno.test("kernels agree with their references on a device that has WebGPU's default limits", async () => {
  await using most = await guardedGpu();
  await using gpu = await guardedGpu({ modest: true });
  assert.deepEqual(gpu.device.limits, PROMISED_LIMITS);
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

function planOf(kernel: AnyKernel, { inputs, options }: LabelledCase, limits: Limits): string {
  return JSON.stringify(kernel.plan(inputs, options, limits));
}
