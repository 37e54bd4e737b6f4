import type { HostTensor, Tensor } from "../../kernels/device/device.ts";
import type { Gpu } from "../../kernels/device/gpu.ts";
import type { AnyKernel } from "../../kernels/device/kernel.ts";
import { elements, f16, f32, u32 } from "../../kernels/device/tensor.ts";
import * as kernels from "../../kernels/mod.ts";
import { changesPlan, measureOn, QUESTIONS, sameBytes } from "../../kernels/tune.ts";
import {
  casesOf,
  errorOf,
  hostsOf,
  type LabelledCase,
  toleranceOf,
} from "../support/kernel_cases.ts";
import type { Part } from "./findings.ts";

/*
 * What is known of kernels without Deno: the same in a browser.
 */

/** Values of a case beyond which its reference takes seconds. */
const MOST_VALUES = 2 ** 19;
/** Seconds of launches that one timing takes, and of one between two waits. */
const TIMED_SECONDS = 0.2;
const MOST_LAUNCHES = 20_000;
/** How often a plan is timed; the least counts. */
const TRIALS = 3;

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
export function kernelParts(gpu: Gpu, { software }: { readonly software: boolean }): Part[] {
  return [
    agreement(gpu, "Kernels whose bits must be those of the reference", (one) => !toleranceOf(one)),
    ceilings(gpu, software ? 2 ** 22 : 2 ** 27, software ? 64 : 512),
    agreement(gpu, "Other kernels, within their tolerance", (one) => toleranceOf(one) > 0),
    plans(gpu),
    speeds(gpu),
  ];
}

/** Compares the cases of every kernel that `which` names with their references. */
function agreement(gpu: Gpu, title: string, which: (one: LabelledCase) => boolean): Part {
  return {
    title,
    async run(tell, late) {
      for (const [name, kernel] of Object.entries<AnyKernel>(kernels)) {
        const cases = casesOf(name, kernel).filter((one) => which(one) && isQuick(one));
        let [made, worst] = [0, 0];
        const faults: string[] = [];
        for (const one of cases) {
          if (late()) break;
          const error = await errorOn(gpu, kernel, one).catch(({ message }) => String(message));
          made++;
          if (typeof error === "number") worst = Math.max(worst, error);
          if (typeof error === "string" || error > toleranceOf(one)) {
            faults.push(`${one.label}: ${error}`);
          }
        }
        if (made === 0) continue;
        const row = { kernel: name, cases: `${made} of ${cases.length}`, worst };
        tell(
          { ...row, ...faults.length > 0 && { faults: faults.slice(0, 3).join("; ") } },
          faults.length === 0,
        );
      }
    },
  };
}

/** What memory and multiplication give at best: what kernels are held against. */
function ceilings(gpu: Gpu, most: number, rows: number): Part {
  return {
    title: "Bandwidth and arithmetic",
    async run(tell) {
      const bytes = Math.min(most, gpu.limits.bindingBytes / 2);
      using addend = gpu.empty({ dtype: "f32", shape: [bytes / 4] });
      using sum = gpu.empty(addend);
      const added = await secondsOf(gpu, () => {
        gpu.run(kernels.addScaled, { x: addend, sum }, { factor: 0.5 });
      });
      tell({
        what: "read twice, written once",
        value: (3 * bytes / added / 1e9).toFixed(1),
        unit: "GB/s",
      });
      const size = 2048;
      const flops = 2 * rows * size * size;
      using x = gpu.upload(f32([rows, size]));
      using weight = gpu.upload(f16([size, size]));
      using y = gpu.empty({ dtype: "f32", shape: [rows, size] });
      const floats = await secondsOf(gpu, () => void gpu.run(kernels.matmul, { x, weight, y }, {}));
      tell({
        what: `f16 product, ${rows} rows`,
        value: (flops / floats / 1e9).toFixed(1),
        unit: "GFLOP/s",
      });
      using fence = gpu.upload(u32([1]));
      await gpu.read(fence);
      const start = performance.now();
      for (let i = 0; i < 20; i++) await gpu.read(fence);
      const ms = (performance.now() - start) / 20;
      tell({ what: "readback of 4 bytes", value: ms.toFixed(3), unit: "ms" });
      tell({ what: "readback skips Deno's sleep", value: gpu.fastReadback, unit: "" });
    },
  };
}

/** Times the plans between which an adapter may choose, and compares their bits. */
function plans(gpu: Gpu): Part {
  return {
    title: "Plans of the same bits",
    async run(tell, late) {
      const measure = measureOn(gpu);
      for (const question of QUESTIONS) {
        const { choice, values: [first, ...others] } = question;
        const differ = others.filter((value) => changesPlan(question, gpu.limits, value));
        let usual: Uint8Array | undefined;
        for (const value of [first, ...differ]) {
          if (late()) return;
          let [least, same] = [Infinity, true];
          for (let trial = 0; trial < TRIALS && !late(); trial++) {
            const { milliseconds, made } = await measure(question, { [choice]: value });
            least = Math.min(least, milliseconds);
            same &&= sameBytes(made, usual ??= made);
          }
          const bits = same ? "the same" : "others";
          tell({ choice, value: String(value ?? "by sizes"), ms: least.toFixed(3), bits }, same);
        }
      }
    },
  };
}

/** Times the cases that have a cost. */
function speeds(gpu: Gpu): Part {
  return {
    title: "Speed of kernels",
    async run(tell, late) {
      for (const [name, kernel] of Object.entries<AnyKernel>(kernels)) {
        for (const one of casesOf(name, kernel)) {
          if (!one.cost || late()) continue;
          using held = upload(gpu, hostsOf(one));
          const seconds = await secondsOf(gpu, () => {
            const made = Object.values(gpu.run(kernel, held.inputs, one.options)) as Tensor[];
            for (const output of made) output[Symbol.dispose]();
          });
          tell({
            kernel: one.label,
            options: JSON.stringify(one.options).replaceAll('"', "").slice(0, 60),
            ms: (1000 * seconds).toFixed(3),
            "GB/s": (one.cost.bytes / seconds / 1e9).toFixed(1),
            "GFLOP/s": (one.cost.flops / seconds / 1e9).toFixed(1),
          });
        }
      }
    },
  };
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
