import type { HostTensor, TensorSpec } from "../../kernels/device/device.ts";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import type { AnyKernel } from "../../kernels/device/kernel.ts";
import { f16, f32, u32 } from "../../kernels/device/tensor.ts";
import { openTunedDevice } from "../../kernels/tuned_device.ts";
import * as kernels from "../../kernels/mod.ts";
import { suggestion } from "../../pipeline/manifest/nearest.ts";
import { randomTensor } from "../support/random.ts";
import { finished } from "./finished.ts";
import { median } from "./median.ts";

/** Samples of a case, whose median counts, and seconds of all of them. */
const SAMPLES = 9;
const SECONDS = 0.5;

interface Timed {
  readonly name: string;
  readonly shape: string;
  readonly options: string;
  /** What products have in common that do the same: the shape of `y` and their operations. */
  readonly work: string;
  readonly seconds: number;
  readonly gflops: number;
  readonly gbytes: number;
}

/** Times every kernel, or those named; with `--roofline` says what cards would need, on paper. */
export async function benchKernels(args: readonly string[]): Promise<number> {
  if (args[0] === "--roofline") {
    const { printRoofline } = await import("./roofline.ts");
    await printRoofline(args.slice(1));
    return 0;
  }
  const unknown = args.find((name) => !Object.hasOwn(kernels, name));
  if (unknown !== undefined) {
    const known = suggestion(unknown, Object.keys(kernels));
    Deno.stderr.writeSync(new TextEncoder().encode(`Cannot time ${unknown}: ${known}\n`));
    return 2;
  }
  // QUATTUOR_DEVICE says which, as for the program.
  await using device = await openTunedDevice(Deno.env.get("QUATTUOR_DEVICE"));
  const timed = await timeKernels(device, args);
  const most = {
    flops: Math.max(...timed.map(({ gflops }) => gflops)),
    bytes: Math.max(...timed.map(({ gbytes }) => gbytes)),
  };
  const lines = [
    `${device.name}, ${
      device instanceof Cpu
        ? `${device.threads} threads`
        : `${device.fastReadback ? "fast" : "slow"} readback`
    }; ceilings are the best of this run`,
    row(["kernel", "case", "ms", "GFLOP/s", "GB/s", "of ceiling", "of matmul", "options"]),
    ...timed.map((one) =>
      row([
        one.name,
        one.shape,
        (1000 * one.seconds).toFixed(3),
        one.gflops.toFixed(1),
        one.gbytes.toFixed(2),
        `${(100 * Math.max(one.gflops / most.flops, one.gbytes / most.bytes)).toFixed(0)} %`,
        ofMatmul(one, timed),
        optionsWords(one, timed),
      ])
    ),
    row(["empty launch", "", ((await timeLaunch(device)) * 1000).toFixed(4)]),
    row(["readback", "4 bytes", ((await timeReadback(device)) * 1000).toFixed(3)]),
  ];
  if (device instanceof Gpu) {
    await using slow = await Gpu.open({ fastReadback: false });
    lines.push(
      row(["readback", "awaited", ((await timeReadback(slow)) * 1000).toFixed(3)]),
    );
  }
  Deno.stdout.writeSync(new TextEncoder().encode(`${lines.join("\n")}\n`));
  return 0;
}

async function timeKernels(device: Cpu | Gpu, names: readonly string[]): Promise<Timed[]> {
  const asked = Object.entries<AnyKernel>(kernels)
    .filter(([name]) => names.length === 0 || names.includes(name))
    .flatMap(([name, kernel]) =>
      kernel.cases.flatMap((one) => one.cost ? [{ name, kernel, one, cost: one.cost }] : [])
    );
  const results: Timed[] = [];
  for (const [i, { name, kernel, one, cost }] of asked.entries()) {
    progress(`${name}, case ${i + 1} of ${asked.length}`);
    using stack = new DisposableStack();
    const inputs = Object.fromEntries(
      Object.entries(one.inputs as Record<string, HostTensor>).map(([key, input]) => [
        key,
        stack.use(device.upload("data" in input ? input : randomTensor(input, key))),
      ]),
    );
    const launch = () => {
      const outputs = Object.values(device.run(kernel, inputs, one.options)) as Disposable[];
      for (const output of outputs) output[Symbol.dispose]();
    };
    const seconds = await timeLoop(device, launch);
    results.push({
      name,
      shape: shapes(one.inputs as Record<string, TensorSpec>),
      options: JSON.stringify(one.options).replaceAll('"', ""),
      work: `${(one.inputs as Record<string, HostTensor>).y?.shape} ${cost.flops}`,
      seconds,
      gflops: cost.flops / seconds / 1e9,
      gbytes: cost.bytes / seconds / 1e9,
    });
  }
  progress("");
  return results;
}

/** What is being timed, on a terminal's last line. */
function progress(words: string): void {
  if (!Deno.stderr.isTerminal()) return;
  Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${words}`));
}

/**
 * Seconds of one call: the median of samples, each of as many calls as fill its part of the time, so that
 * what another program takes of one of them does not count. Of calls that take longer there are fewer.
 */
async function timeLoop(device: Cpu | Gpu, launch: () => void): Promise<number> {
  launch();
  await finished(device);
  const part = SECONDS / SAMPLES;
  let count = 1;
  let seconds = await sample(device, launch, count);
  while (seconds < part) {
    count = Math.ceil(count * Math.min(100, 1.2 * part / Math.max(seconds, 1e-4)));
    seconds = await sample(device, launch, count);
  }
  const all = [seconds];
  for (let sum = seconds; all.length < SAMPLES && sum < SECONDS; sum += seconds) {
    seconds = await sample(device, launch, count);
    all.push(seconds);
  }
  return median(all) / count;
}

/** Seconds of some calls; the device is waited for at the end. */
async function sample(device: Cpu | Gpu, launch: () => void, count: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < count; i++) launch();
  await finished(device);
  return (performance.now() - start) / 1000;
}

async function timeLaunch(device: Cpu | Gpu): Promise<number> {
  using x = device.upload(f32([1, 8]));
  using weight = device.upload(f16([1, 8]));
  using y = device.empty({ dtype: "f32", shape: [1, 1] });
  const launch = () => void device.run(kernels.matmul, { x, weight, y }, {});
  return await timeLoop(device, launch);
}

async function timeReadback(device: Cpu | Gpu): Promise<number> {
  using x = device.upload(u32([1]));
  await device.read(x);
  const start = performance.now();
  for (let i = 0; i < 50; i++) await device.read(x);
  return (performance.now() - start) / 1000 / 50;
}

/** The shapes of a product's factors, or of the first two inputs. */
function shapes(inputs: Readonly<Record<string, TensorSpec>>): string {
  const { x, weight } = inputs;
  const shown = x && weight ? [x, weight] : Object.values(inputs).slice(0, 2);
  return shown.map(({ shape }) => `[${shape.join(",")}]`).join(" ");
}

/** Time of a product as a share of what the f16 `matmul` of the same sizes takes. */
function ofMatmul({ name, work, seconds }: Timed, timed: readonly Timed[]): string {
  if (!name.startsWith("matmul") || name === "matmul") return "";
  const plain = timed.find((other) => other.name === "matmul" && other.work === work);
  return plain ? `${(100 * seconds / plain.seconds).toFixed(0)} %` : "";
}

/** The options of a case, where those of its kernel differ in them. */
function optionsWords({ name, options }: Timed, timed: readonly Timed[]): string {
  const several = timed.some((other) => other.name === name && other.options !== options);
  return several ? options : "";
}

/** A line of a table; the last column is as wide as it needs. */
function row(cells: readonly string[]): string {
  const widths = [22, 26, 10, 9, 8, 12, 11];
  return cells.map((cell, i) => {
    if (i < 2) return cell.padEnd(widths[i]!);
    return i < widths.length ? cell.padStart(widths[i]!) : `  ${cell}`;
  }).join("").trimEnd();
}
