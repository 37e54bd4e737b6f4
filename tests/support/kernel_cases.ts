import type { HostTensor } from "../../kernels/device/device.ts";
import type { AnyKernel, KernelCase } from "../../kernels/device/kernel.ts";
import { randomTensor } from "./random.ts";

type AnyCase = KernelCase<string, unknown>;

/** A case of a kernel with the name that messages give it. */
export type LabelledCase = AnyCase & { readonly label: string };

/** Inputs of a case and what its reference makes of them. */
export interface Expectation {
  readonly hosts: Readonly<Record<string, HostTensor>>;
  readonly outputs: Readonly<Record<string, HostTensor>>;
}

/** The cases of a kernel. */
export function casesOf(name: string, kernel: AnyKernel): LabelledCase[] {
  return (kernel.cases as readonly AnyCase[]).map((one, index) => ({
    ...one,
    label: `${name} case ${index}`,
  }));
}

/** What a case is given. */
export function hostsOf({ label, inputs }: LabelledCase): Record<string, HostTensor> {
  const hosts: Record<string, HostTensor> = {};
  for (const [name, input] of Object.entries(inputs)) {
    hosts[name] = "data" in input ? input as HostTensor : randomTensor(input, `${label} ${name}`);
  }
  return hosts;
}

/** Inputs and reference outputs of cases, made once for all devices. */
export function expectations(kernel: AnyKernel): (one: LabelledCase) => Expectation {
  const made = new Map<string, Expectation>();
  return (one) => {
    const found = made.get(one.label);
    if (found) return found;
    const hosts = hostsOf(one);
    const expected = { hosts, outputs: kernel.reference(hosts, one.options) };
    made.set(one.label, expected);
    return expected;
  };
}

/** The normalized mean squared error of a tensor; `Infinity` where a value is not finite. */
export function errorOf(got: HostTensor, expected: HostTensor): number {
  let [error, size, least] = [0, 0, 0];
  for (let i = 0; i < got.data.length; i++) {
    const value = got.data[i]!;
    const wanted = expected.data[i]!;
    if (!Number.isFinite(value)) return Infinity;
    const difference = value - wanted;
    error += difference * difference;
    size += wanted * wanted;
    if (value === 0 && wanted === 0 && !Object.is(value, wanted)) least = Number.MIN_VALUE;
  }
  return Math.max(least, size === 0 ? error : error / size);
}

/** The largest error a case may have. */
export function toleranceOf({ tolerance = 1e-6 }: LabelledCase): number {
  return tolerance;
}
