import { strict as assert } from "node:assert";
import type { HostTensor, Limits, TensorSpec } from "../../kernels/device/device.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import type { AnyKernel, KernelCase, Launch } from "../../kernels/device/kernel.ts";
import { bindingNames } from "../../kernels/device/pipelines.ts";
import { describe, elements } from "../../kernels/device/tensor.ts";
import * as kernels from "../../kernels/mod.ts";
import { GuardedPool } from "../support/guarded_pool.ts";
import { randomTensor } from "../support/random.ts";
import { USUAL_LIMITS } from "../support/launch.ts";

type AnyCase = KernelCase<string, unknown>;
type LabelledCase = AnyCase & { readonly label: string };

interface Expectation {
  readonly hosts: Readonly<Record<string, HostTensor>>;
  readonly outputs: Readonly<Record<string, HostTensor>>;
}

const TYPES = { u32: "u32", f32: "f32" } as const;

for (const [name, kernel] of Object.entries<AnyKernel>(kernels)) {
  const cases = (kernel.cases as readonly AnyCase[]).map((one, index) => ({
    ...one,
    label: `${name} case ${index}`,
  }));
  const expectation = expectations(kernel);
  for (const as of ["software", "gpu"] as const) {
    Deno.test(`${name} agrees with its reference, planned for ${as}`, async () => {
      let guard: GuardedPool | undefined;
      const pool = (device: GPUDevice) => guard = new GuardedPool(device);
      await using gpu = await Gpu.open({ as, pool });
      for (const one of cases) {
        if (one.timedOnly) {
          assert.ok(one.cost, `${one.label} is neither timed nor compared`);
          assert.ok(hasSmaller(kernel, one, cases, gpu.limits), `no smaller case of ${one.label}`);
        } else {
          await compare({ gpu, guard: guard! }, kernel, one, expectation(one));
        }
      }
    });
  }

  Deno.test(`${name} declares the bindings and params its plan gives`, () => {
    const { plan, sources } = plansOf(kernel);
    for (const source of sources) {
      assert.deepEqual(declaredBindings(source), expectedBindings(kernel));
      assert.deepEqual(
        declaredParams(source),
        Object.entries(plan.params).map(([field, value]) => [
          field,
          "u32" in value ? TYPES.u32 : TYPES.f32,
        ]),
      );
    }
  });
}

/** Inputs and reference outputs of cases, made once for both classes of plan. */
function expectations(kernel: AnyKernel) {
  const made = new Map<string, Expectation>();
  return ({ label, inputs, options }: LabelledCase): Expectation => {
    const found = made.get(label);
    if (found) return found;
    const hosts: Record<string, HostTensor> = {};
    for (const [name, input] of Object.entries(inputs)) {
      hosts[name] = "data" in input ? input as HostTensor : randomTensor(input, `${label} ${name}`);
    }
    const expected = { hosts, outputs: kernel.reference(hosts, options) };
    made.set(label, expected);
    return expected;
  };
}

/** Whether a case that is compared and has fewer inputs runs the very pipeline of this one. */
function hasSmaller(
  kernel: AnyKernel,
  one: AnyCase,
  cases: readonly AnyCase[],
  limits: Limits,
): boolean {
  const form = ({ inputs, options }: AnyCase) => {
    const { shader, constants } = kernel.plan(inputs, options, limits);
    return JSON.stringify([shader, constants]);
  };
  return cases.some((other) =>
    !other.timedOnly && inputSize(other) < inputSize(one) && form(other) === form(one)
  );
}

function inputSize({ inputs }: AnyCase): number {
  return Object.values(inputs).reduce((sum, { shape }) => sum + elements(shape), 0);
}

async function compare(
  { gpu, guard }: { readonly gpu: Gpu; readonly guard: GuardedPool },
  kernel: AnyKernel,
  one: LabelledCase,
  { hosts, outputs: expected }: Expectation,
): Promise<void> {
  const { label } = one;
  using stack = new DisposableStack();
  const inputs = Object.fromEntries(
    Object.entries(hosts).map(([name, host]) => [name, stack.use(guard.upload(gpu, host))]),
  );
  const outputs = gpu.run(kernel, inputs, one.options);
  for (const output of Object.values(outputs)) stack.use(output);
  const written = { ...outputs, ...pick(inputs, kernel.mutates ?? []) };
  for (const [name, tensor] of Object.entries(written)) {
    const got = await gpu.read(tensor);
    assert.equal(describe(got), describe(expected[name]!), `${label} ${name}`);
    near(got, expected[name]!, one.tolerance ?? 1e-6, `${label} ${name}`);
  }
  for (const [name, tensor] of Object.entries({ ...inputs, ...outputs })) {
    await guard.holds(gpu, tensor, `${label} ${name}`);
  }
}

function near(got: HostTensor, expected: HostTensor, tolerance: number, label: string): void {
  let [error, size] = [0, 0];
  got.data.forEach((value, i) => {
    const wanted = expected.data[i]!;
    assert.ok(Number.isFinite(value), `${label}[${i}] is ${value}, expected ${wanted}`);
    error += (value - wanted) ** 2;
    size += wanted ** 2;
  });
  const relative = size === 0 ? error : error / size;
  assert.ok(relative <= tolerance, `${label}: error ${relative} is above ${tolerance}`);
}

function pick<T>(record: Readonly<Record<string, T>>, names: readonly string[]): Record<string, T> {
  return Object.fromEntries(
    names.flatMap((name) => record[name] ? [[name, record[name]]] : []),
  );
}

function plansOf(kernel: AnyKernel): { plan: Launch<string>; sources: string[] } {
  const one = kernel.cases[0] as AnyCase;
  const specs = one.inputs as Readonly<Record<string, TensorSpec>>;
  const sources = typeof kernel.wgsl === "string" ? [kernel.wgsl] : Object.values(kernel.wgsl);
  return { plan: kernel.plan(specs, one.options, USUAL_LIMITS), sources };
}

function expectedBindings(kernel: AnyKernel): string[] {
  const written = new Set<string>([...kernel.outputs, ...(kernel.mutates ?? [])]);
  return bindingNames(kernel).map((name, index) =>
    name === "params"
      ? `${index} uniform params`
      : `${index} storage, ${written.has(name) ? "read_write" : "read"} ${name}`
  );
}

function declaredBindings(source: string): string[] {
  const declaration = /@group\(0\) @binding\((\d+)\) var<([^>]+)> (\w+):/g;
  return [...source.matchAll(declaration)].map(([, index, space, name]) =>
    `${index} ${space} ${name}`
  );
}

function declaredParams(source: string): string[][] {
  const body = source.match(/struct Params \{([^}]*)\}/)?.[1] ?? "";
  return [...body.matchAll(/(\w+): (\w+),/g)].map(([, field, type]) => [field!, type!]);
}
