import { strict as assert } from "node:assert";
import type { HostTensor, Tensor } from "../../kernels/device/device.ts";
import type { AnyKernel } from "../../kernels/device/kernel.ts";
import type { Destroyable } from "../../kernels/device/memory.ts";
import { describe } from "../../kernels/device/tensor.ts";
import type { Guarded } from "./guarded_pool.ts";
import { errorOf, type Expectation, type LabelledCase, toleranceOf } from "./kernel_cases.ts";

/** Compares what a device makes of a case with what is expected, and gives what it made. */
export async function compare<B extends Destroyable>(
  guarded: Guarded<B>,
  kernel: AnyKernel,
  one: LabelledCase,
  expected: Expectation,
): Promise<Record<string, HostTensor>> {
  const made = await launched(guarded, kernel, one, expected.hosts);
  for (const [name, got] of Object.entries(made)) {
    const label = `${one.label} ${name}`;
    const wanted = expected.outputs[name]!;
    assert.equal(describe(got), describe(wanted), label);
    const error = errorOf(got, wanted);
    const most = toleranceOf(one);
    assert.ok(error <= most, `${label}: error ${error} is above ${most}`);
  }
  return made;
}

/** What a device makes of a case and writes, and nothing behind it. */
export async function launched<B extends Destroyable>(
  guarded: Guarded<B>,
  kernel: AnyKernel,
  { label, options }: LabelledCase,
  hosts: Readonly<Record<string, HostTensor>>,
): Promise<Record<string, HostTensor>> {
  const { device } = guarded;
  using stack = new DisposableStack();
  const inputs = Object.fromEntries(
    Object.entries(hosts).map(([name, host]) => [name, stack.use(guarded.upload(host))]),
  );
  const outputs: Record<string, Tensor> = device.run(kernel, inputs, options);
  for (const output of Object.values(outputs)) stack.use(output);
  const changed = (kernel.mutates ?? []).flatMap((name: string) =>
    inputs[name] ? [[name, inputs[name]] as const] : []
  );
  const made: Record<string, HostTensor> = {};
  for (const [name, tensor] of [...Object.entries(outputs), ...changed]) {
    made[name] = await device.read(tensor);
  }
  for (const [name, tensor] of Object.entries({ ...inputs, ...outputs })) {
    await guarded.holds(tensor, `${label} ${name}`);
  }
  return made;
}
