import type { HostTensor, Tensor } from "../../kernels/device/device.ts";
import type { Gpu } from "../../kernels/device/gpu.ts";
import type { AnyKernel } from "../../kernels/device/kernel.ts";
import { elements, f32, u32 } from "../../kernels/device/tensor.ts";
import { INTEGER_PRODUCTS } from "../../kernels/integer_products.ts";
import * as kernels from "../../kernels/mod.ts";
import {
  bytesOfPlan,
  changesPlan,
  measureOn,
  QUESTIONS,
  sameBytes,
  tune,
} from "../../kernels/tune.ts";
import {
  casesOf,
  errorOf,
  hostsOf,
  type LabelledCase,
  toleranceOf,
} from "../support/kernel_cases.ts";
import type { Card } from "./card.ts";
import type { Part } from "./findings.ts";
import { halfOperations } from "./half_chain.ts";
import { chainOperations, type ChainOptions, multiplyChain } from "./multiply_chain.ts";

/*
 * What is known of kernels without Deno: the same in a browser.
 */

/** Kernels of an engine's step, which come before those that only quantizing and scoring run. */
const FIRST: readonly (keyof typeof kernels)[] = [
  "matmulInt8",
  "normQuantize",
  "ropeAppend",
  "attentionPaged",
  "quantizeRows",
  "gluQuantize",
  "appendKv",
  "embed",
  "rmsNorm",
  "matmul",
  "glu",
  "sample",
  "matmulCodes",
  "matmulGroups",
];
const ORDERED = Object.entries<AnyKernel>(
  { ...Object.fromEntries(FIRST.map((name) => [name, kernels[name]])), ...kernels },
);
/** Values of a case beyond which its reference takes seconds. */
const MOST_VALUES = 2 ** 19;
/** Seconds of launches that one timing takes, and of one between two waits. */
const TIMED_SECONDS = 0.2;
const MOST_LAUNCHES = 20_000;
/** How often a plan is timed; the least counts. */
const TRIALS = 3;
/** How much longer than its ceilings say a case may take: where that is too long, it is left out. */
const SLOWEST = 10;

/** What an adapter says of itself. */
export function adapterRow(adapter: GPUAdapter, name: string): Record<string, string | number> {
  const { info, limits } = adapter;
  return {
    name,
    vendor: info.vendor,
    architecture: info.architecture,
    device: info.device,
    software: info.isFallbackAdapter ? "yes" : "no",
    subgroups: `${info.subgroupMinSize} to ${info.subgroupMaxSize}`,
    features: [...adapter.features].join(" "),
    binding_bytes: limits.maxStorageBufferBindingSize,
    buffer_bytes: limits.maxBufferSize,
    storage_buffers: limits.maxStorageBuffersPerShaderStage,
    workgroup_bytes: limits.maxComputeWorkgroupStorageSize,
    invocations: limits.maxComputeInvocationsPerWorkgroup,
  };
}

/** The parts about kernels, the most important first; a driver made of software has less to copy. */
export function kernelParts(card: Card) {
  return {
    exact: agreement(card, EXACT, (one) => toleranceOf(one) === 0),
    ceilings: ceilings(card),
    others: agreement(card, TOLERANT, (one) => toleranceOf(one) > 0),
    plans: plans(card),
    speeds: speeds(card),
  };
}

const EXACT = "Kernels whose bits must be those of the reference";
const TOLERANT = "Other kernels, within their tolerance";

/** Compares the cases of every kernel that `which` names with their references. */
function agreement(card: Card, title: string, which: (one: LabelledCase) => boolean): Part {
  return {
    title,
    async run({ tell, at, late, leave }) {
      for (const [name, kernel] of ORDERED) {
        const cases = casesOf(name, kernel).filter((one) => which(one) && isQuick(one));
        let [made, worst] = [0, 0];
        const faults: string[] = [];
        for (const one of cases) {
          if (late()) {
            leave(made === 0 ? name : `${cases.length - made} of ${name}`);
            break;
          }
          at(one.label);
          made++;
          try {
            const error = await errorOn(card.gpu, kernel, one);
            worst = Math.max(worst, error);
            if (error > toleranceOf(one)) faults.push(`${one.label}: ${error}`);
          } catch (error) {
            faults.push(`${one.label}: ${(error as Error).message}`);
            // What one case has ended must not fail the others.
            await card.renew();
          }
        }
        if (made === 0) continue;
        const row = { kernel: name, cases: `${made} of ${cases.length}`, worst: few(worst) };
        tell(
          { ...row, ...faults.length > 0 && { faults: faults.slice(0, 3).join("; ") } },
          faults.length === 0,
        );
      }
    },
  };
}

/** What memory and multiplication give at best: what kernels are held against. */
function ceilings(card: Card): Part {
  return {
    title: "Bandwidth and arithmetic",
    async run({ tell, at, late, leave }) {
      const { gpu, software } = card;
      const groups = software ? 64 : 4096;
      const row = (what: string, value: number, unit: string) =>
        tell({ what, value: value.toFixed(value < 10 ? 3 : 1), unit });
      const chain = async (integer: boolean) => {
        const options: ChainOptions = { groups, integer };
        const seconds = await secondsOf(gpu, () => {
          gpu.run(multiplyChain, {}, options).y[Symbol.dispose]();
        });
        return chainOperations(options) / seconds / 1e9;
      };
      const found = { bandwidth: 0, float: 0, integer: 0 };
      const steps: Readonly<Record<string, () => Promise<void>>> = {
        async bandwidth() {
          const bytes = Math.min(software ? 2 ** 22 : 2 ** 28, gpu.limits.bindingBytes / 2);
          using x = gpu.empty({ dtype: "f32", shape: [bytes / 4] });
          using sum = gpu.empty(x);
          const seconds = await secondsOf(gpu, () => {
            gpu.run(kernels.addScaled, { x, sum }, { factor: 0.5 });
          });
          found.bandwidth = 3 * bytes / seconds / 1e9;
          const what = `memory: ${2 * bytes / 2 ** 20} MiB, read twice, written once`;
          row(what, found.bandwidth, "GB/s");
        },
        async "chains of f32"() {
          found.float = await chain(false) / 1000;
          row("f32 in registers", 1000 * found.float, "GFLOP/s");
        },
        async "chains of bytes"() {
          found.integer = await chain(true) / 1000;
          row("products of four bytes in registers", 1000 * found.integer, "GOP/s");
          card.ceilings = found;
        },
        async "chains of f16"() {
          const seconds = TIMED_SECONDS;
          const half = await halfOperations(await card.adapter(), { groups, seconds });
          if (half) row("f16 in registers, which no kernel uses", half / 1e9, "GFLOP/s f16");
        },
        async readback() {
          using fence = gpu.upload(u32([1]));
          await gpu.read(fence);
          const start = performance.now();
          for (let i = 0; i < 20; i++) await gpu.read(fence);
          row("readback of 4 bytes", (performance.now() - start) / 20, "ms");
          tell({ what: "readback skips Deno's sleep", value: gpu.fastReadback, unit: "" });
        },
        async launches() {
          using x = gpu.upload(f32([4]));
          using sum = gpu.upload(f32([4]));
          const launch = await secondsOf(gpu, () => {
            gpu.run(kernels.addScaled, { x, sum }, { factor: 1 });
          });
          row("a launch among others", 1e6 * launch, "us");
        },
      };
      for (const [what, make] of Object.entries(steps)) {
        if (late()) {
          leave(what);
          continue;
        }
        at(what);
        await make();
      }
    },
  };
}

/**
 * Compares the bits of the plans between which an adapter may choose, on a card also their times, and takes the
 * quickest.
 */
function plans(card: Card): Part {
  return {
    title: "Plans of the same bits",
    async run({ tell, at, late, leave }) {
      const { gpu, software } = card;
      const measure = measureOn(gpu);
      for (const question of QUESTIONS) {
        const { choice, values: [first, ...others] } = question;
        const differ = others.filter((value) => changesPlan(question, gpu.limits, value));
        let usual: Uint8Array | undefined;
        for (const value of [first, ...differ]) {
          const plan = String(value ?? "by sizes");
          if (late()) {
            leave(`${choice} ${plan}`);
            continue;
          }
          at(`${choice} ${plan}`);
          const choices = { [choice]: value };
          const made = await bytesOfPlan(gpu, question, choices);
          usual ??= made;
          let [least, same] = [Infinity, sameBytes(made, usual)];
          for (let trial = 0; trial < TRIALS && !software && !late(); trial++) {
            const timed = await measure(question, choices);
            least = Math.min(least, timed.milliseconds);
            same &&= sameBytes(timed.made, usual);
          }
          const ms = least < Infinity ? least.toFixed(3) : "";
          tell({ choice, value: plan, ms, bits: same ? "the same" : "others" }, same);
        }
      }
      if (software) return;
      if (late()) return leave("the choice of plans");
      at("the choice of plans");
      const choices = await tune(gpu.limits, { measure });
      card.choose(choices);
      tell({ choice: "taken from here on", value: JSON.stringify(choices), ms: "", bits: "" });
    },
  };
}

/** Times the cases that have a cost, beside what memory and arithmetic give. */
function speeds(card: Card): Part {
  return {
    title: "Speed of kernels",
    async run({ tell, at, late, left, leave }) {
      const { gpu, ceilings } = card;
      for (const [name, kernel] of ORDERED) {
        const peak = 1000 * (ceilings?.[INTEGER_PRODUCTS.has(name) ? "integer" : "float"] ?? 0);
        for (const one of casesOf(name, kernel)) {
          if (!one.cost) continue;
          const least = Math.max(
            one.cost.bytes / (ceilings?.bandwidth ?? Infinity),
            one.cost.flops / (peak || Infinity),
          ) / 1e9;
          if (late() || SLOWEST * least > left()) {
            leave(one.label);
            continue;
          }
          at(one.label);
          using held = upload(gpu, hostsOf(one));
          const seconds = await secondsOf(gpu, () => {
            const made = Object.values(gpu.run(kernel, held.inputs, one.options)) as Tensor[];
            for (const output of made) output[Symbol.dispose]();
          });
          const [bytes, operations] = [one.cost.bytes, one.cost.flops].map((cost) =>
            cost / seconds / 1e9
          ) as [number, number];
          tell({
            kernel: one.label,
            options: JSON.stringify(one.options).replaceAll('"', "").slice(0, 60),
            ms: (1000 * seconds).toFixed(3),
            "GB/s": bytes.toFixed(1),
            "of bandwidth": share(bytes, ceilings?.bandwidth),
            "GFLOP/s": operations.toFixed(1),
            "of arithmetic": share(operations, peak),
          });
        }
      }
    },
  };
}

/** A share in percent; a cache that holds all that a case touches may give more than memory does. */
function share(value: number, of = 0): string {
  return of > 0 ? `${(100 * value / of).toFixed(0)} %` : "";
}

/** An error in few digits. */
function few(error: number): number {
  return Number(error.toPrecision(2));
}

function isQuick({ timedOnly, inputs }: LabelledCase): boolean {
  return !timedOnly && Object.values(inputs).every(({ shape }) => elements(shape) <= MOST_VALUES);
}

/** The largest error of what a case makes and writes. */
async function errorOn(gpu: Gpu, kernel: AnyKernel, one: LabelledCase): Promise<number> {
  const hosts = hostsOf(one);
  const expected = kernel.reference(hosts, one.options) as Record<string, HostTensor>;
  using held = upload(gpu, hosts);
  using stack = new DisposableStack();
  const outputs: Record<string, Tensor> = gpu.run(kernel, held.inputs, one.options);
  for (const output of Object.values(outputs)) stack.use(output);
  let error = 0;
  for (const [name, wanted] of Object.entries(expected)) {
    const tensor = outputs[name] ?? held.inputs[name];
    if (tensor) error = Math.max(error, errorOf(await gpu.read(tensor), wanted));
  }
  return error;
}

function upload(gpu: Gpu, hosts: Readonly<Record<string, HostTensor>>) {
  const stack = new DisposableStack();
  const inputs: Record<string, Tensor> = {};
  for (const [name, host] of Object.entries(hosts)) inputs[name] = stack.use(gpu.upload(host));
  return { inputs, [Symbol.dispose]: () => stack.dispose() };
}

/** Seconds of one launch, from as many as fill some time; the device is waited for at the end. */
async function secondsOf(gpu: Gpu, launch: () => void): Promise<number> {
  using fence = gpu.upload(u32([1]));
  launch();
  await gpu.read(fence);
  for (let count = 1;;) {
    const start = performance.now();
    for (let i = 0; i < count; i++) launch();
    await gpu.read(fence);
    const seconds = (performance.now() - start) / 1000;
    if (seconds >= TIMED_SECONDS || count >= MOST_LAUNCHES) return seconds / count;
    count = Math.min(MOST_LAUNCHES, Math.ceil(count * Math.min(30, 1.3 * TIMED_SECONDS / seconds)));
  }
}
