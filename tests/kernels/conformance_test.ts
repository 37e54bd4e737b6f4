import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import type { Limits, TensorSpec } from "../../kernels/device/device.ts";
import type { AnyKernel, KernelCase, Launch, Param } from "../../kernels/device/kernel.ts";
import { CPU_LIMITS, USUAL_LIMITS } from "../../kernels/device/limits.ts";
import { bindingNames } from "../../kernels/device/pipelines.ts";
import { elements } from "../../kernels/device/tensor.ts";
import * as kernels from "../../kernels/mod.ts";
import { compare, launched } from "../support/case_check.ts";
import { guardedCpu, guardedGpu, type GuardedOptions } from "../support/guarded_pool.ts";
import { casesOf, expectations } from "../support/kernel_cases.ts";

type AnyCase = KernelCase<string, unknown>;

const ASSEMBLY = new URL("../../kernels/assembly/", import.meta.url);
/**
 * Engines that are compared; all behind the second must make the bits of the first, also where
 * operands of a launch lie in several banks.
 */
const CPUS: readonly GuardedOptions[] = [
  { simd: "relaxed", threads: 1 },
  { simd: "plain", threads: 2 },
  { simd: "relaxed", threads: 2 },
  { simd: "relaxed", threads: 3, spread: true },
];

for (const [name, kernel] of Object.entries<AnyKernel>(kernels)) {
  const cases = casesOf(name, kernel);
  const expectation = expectations(kernel);
  Deno.test(`${name} agrees with its reference on a GPU`, async () => {
    await using gpu = await guardedGpu();
    for (const one of cases) {
      if (one.timedOnly) {
        assert.ok(one.cost, `${one.label} is neither timed nor compared`);
        assert.ok(
          hasSmaller(kernel, one, cases, gpu.device.limits),
          `no smaller case of ${one.label}`,
        );
      } else {
        await compare(gpu, kernel, one, expectation(one));
      }
    }
  });

  Deno.test(`${name} agrees with its reference on the CPU engine, equal bits on any number of threads and banks`, async () => {
    await using stack = new AsyncDisposableStack();
    const [alone, plain, ...others] = await Promise.all(CPUS.map(guardedCpu));
    for (const cpu of [alone!, plain!, ...others]) stack.use(cpu);
    for (const one of cases) {
      if (one.timedOnly) continue;
      const expected = expectation(one);
      await compare(plain!, kernel, one, expected);
      const made = await compare(alone!, kernel, one, expected);
      for (const cpu of others) {
        const again = await launched(cpu, kernel, one, expected.hosts);
        for (const [name, { data }] of Object.entries(made)) {
          assert.ok(
            Buffer.from(data.buffer).equals(Buffer.from(again[name]!.data.buffer)),
            `${one.label} ${name} has other bits on other engines`,
          );
        }
      }
    }
  });

  Deno.test(`${name} has in its assembly the arguments that it is given`, async () => {
    for (const one of cases) {
      const specs = one.inputs as Readonly<Record<string, TensorSpec>>;
      const launch = kernel.plan(specs, one.options, CPU_LIMITS);
      const { program, args } = kernel.cpu(specs, one.options, launch);
      const expected = [
        ...[...kernel.inputs, ...kernel.outputs].map((name) => [name, "usize"]),
        ...typesOf(args),
      ];
      assert.deepEqual(await declaredArgs(program), expected, one.label);
    }
  });

  Deno.test(`${name} declares the bindings and params its plan gives`, () => {
    const { plan, sources } = plansOf(kernel);
    for (const source of sources) {
      const leaves = source.includes("scratch:");
      const scratch = leaves ? { scratch: { dtype: "f32", shape: [0] } } as const : {};
      assert.deepEqual(declaredBindings(source), expectedBindings(kernel, scratch));
      assert.deepEqual(declaredParams(source), typesOf(plan.params));
    }
  });
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

function plansOf(kernel: AnyKernel): { plan: Launch<string>; sources: string[] } {
  const one = kernel.cases[0] as AnyCase;
  const specs = one.inputs as Readonly<Record<string, TensorSpec>>;
  const sources = typeof kernel.wgsl === "string" ? [kernel.wgsl] : Object.values(kernel.wgsl);
  return { plan: kernel.plan(specs, one.options, USUAL_LIMITS), sources };
}

function expectedBindings(kernel: AnyKernel, launch: Partial<Launch<string>>): string[] {
  const written = new Set<string>([...kernel.outputs, ...(kernel.mutates ?? []), "scratch"]);
  return bindingNames(kernel, launch).map((name, index) =>
    name === "params"
      ? `${index} uniform params`
      : `${index} storage, ${written.has(name) ? "read_write" : "read"} ${name}`
  );
}

/** Names and types of numbers, as shaders and assembly declare them. */
function typesOf(params: Readonly<Record<string, Param>>): string[][] {
  return Object.entries(params).map(([field, value]) => [field, "u32" in value ? "u32" : "f32"]);
}

/** The fields of the arguments of a program, in order, with their types. */
async function declaredArgs(program: string): Promise<string[][]> {
  const index = await Deno.readTextFile(new URL("index.ts", ASSEMBLY));
  const [, file] =
    new RegExp(`export \\{[^}]*\\b${program}\\b[^}]*\\} from "./(\\w+)"`).exec(index) ?? [];
  const source = await Deno.readTextFile(new URL(`${file}.ts`, ASSEMBLY));
  const body = /class Args \{([^}]*)\}/.exec(source)?.[1] ?? "";
  return [...body.matchAll(/^ *(\w+): (\w+);/gm)].map(([, field, type]) => [field!, type!]);
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
