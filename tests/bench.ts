import type { HostTensor } from "../kernels/device/device.ts";
import { Gpu } from "../kernels/device/gpu.ts";
import type { AnyKernel } from "../kernels/device/kernel.ts";
import { f16, f32, u32 } from "../kernels/device/tensor.ts";
import * as kernels from "../kernels/mod.ts";
import { randomTensor } from "./random.ts";

const SECONDS = 0.5;

if (import.meta.main) {
  await using gpu = await Gpu.open();
  const timed = await timeKernels(gpu);
  const most = {
    flops: Math.max(...timed.map(({ gflops }) => gflops)),
    bytes: Math.max(...timed.map(({ gbytes }) => gbytes)),
  };
  const lines = [
    `${gpu.name}, ${gpu.limits.adapter} plans, ${
      gpu.fastReadback ? "fast" : "slow"
    } readback; ceilings are the best of this run`,
    row(["kernel", "case", "ms", "GFLOP/s", "GB/s", "of ceiling"]),
    ...timed.map(({ name, shape, seconds, gflops, gbytes }) =>
      row([
        name,
        shape,
        (1000 * seconds).toFixed(3),
        gflops.toFixed(1),
        gbytes.toFixed(2),
        `${(100 * Math.max(gflops / most.flops, gbytes / most.bytes)).toFixed(0)} %`,
      ])
    ),
    row(["empty launch", "", ((await timeLaunch(gpu)) * 1000).toFixed(4), "", "", ""]),
    row(["readback", "4 bytes", ((await timeReadback(gpu)) * 1000).toFixed(3), "", "", ""]),
  ];
  await using slow = await Gpu.open({ fastReadback: false });
  lines.push(
    row(["readback", "awaited", ((await timeReadback(slow)) * 1000).toFixed(3), "", "", ""]),
  );
  Deno.stdout.writeSync(new TextEncoder().encode(`${lines.join("\n")}\n`));
}

async function timeKernels(gpu: Gpu) {
  const results: {
    name: string;
    shape: string;
    seconds: number;
    gflops: number;
    gbytes: number;
  }[] = [];
  for (const [name, kernel] of Object.entries<AnyKernel>(kernels)) {
    for (const one of kernel.cases) {
      if (!one.cost) continue;
      using stack = new DisposableStack();
      const inputs = Object.fromEntries(
        Object.entries(one.inputs as Record<string, HostTensor>).map(([key, input]) => [
          key,
          stack.use(gpu.upload("data" in input ? input : randomTensor(input, key))),
        ]),
      );
      const fence = stack.use(gpu.upload(u32([1])));
      const launch = () => {
        const outputs = Object.values(gpu.run(kernel, inputs, one.options)) as Disposable[];
        for (const output of outputs) output[Symbol.dispose]();
      };
      const seconds = await timeLoop(launch, async () => void await gpu.read(fence));
      results.push({
        name,
        shape: Object.values(one.inputs as Record<string, HostTensor>)
          .slice(0, 2).map(({ shape }) => `[${shape.join(",")}]`).join(" "),
        seconds,
        gflops: one.cost.flops / seconds / 1e9,
        gbytes: one.cost.bytes / seconds / 1e9,
      });
    }
  }
  return results;
}

/** Seconds of one call, from as many as fill half a second; the device is waited for at the end. */
async function timeLoop(launch: () => void, wait: () => Promise<void>): Promise<number> {
  launch();
  await wait();
  let [count, seconds] = [1, 0];
  for (;;) {
    const start = performance.now();
    for (let i = 0; i < count; i++) launch();
    await wait();
    seconds = (performance.now() - start) / 1000;
    if (seconds >= SECONDS) return seconds / count;
    count = Math.ceil(count * Math.min(100, 1.2 * SECONDS / Math.max(seconds, 1e-4)));
  }
}

async function timeLaunch(gpu: Gpu): Promise<number> {
  using x = gpu.upload(f32([1, 8]));
  using weight = gpu.upload(f16([1, 8]));
  using y = gpu.empty({ dtype: "f32", shape: [1, 1] });
  const launch = () => void gpu.run(kernels.matmul, { x, weight, y }, {});
  return await timeLoop(launch, async () => void await gpu.read(x));
}

async function timeReadback(gpu: Gpu): Promise<number> {
  using x = gpu.upload(u32([1]));
  await gpu.read(x);
  const start = performance.now();
  for (let i = 0; i < 50; i++) await gpu.read(x);
  return (performance.now() - start) / 1000 / 50;
}

function row(cells: readonly string[]): string {
  const widths = [14, 26, 10, 9, 8, 10];
  return cells.map((cell, i) => i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join(
    "",
  );
}
