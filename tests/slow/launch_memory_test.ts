// Slow: launches every kernel until kept memory would show.
import { strict as assert } from "node:assert";
import type { HostTensor, Tensor } from "../../kernels/device/device.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import type { AnyKernel, KernelCase } from "../../kernels/device/kernel.ts";
import * as kernels from "../../kernels/mod.ts";
import { randomTensor } from "../support/random.ts";

const LAUNCHES = 24;

/** A shader that the driver compiles anew at every launch costs about 3 MB each time, for ever. */
const MOST_BYTES = 700_000;

Deno.test("a kernel that is launched again and again keeps no memory", async () => {
  for (const [name, kernel] of Object.entries<AnyKernel>(kernels)) {
    const cases = kernel.cases as readonly KernelCase<string, unknown>[];
    // What is timed is large, and runs the shader of a smaller case.
    for (const { inputs, options } of cases.filter(({ cost, timedOnly }) => !cost && !timedOnly)) {
      // The driver decides by what a shader's first launch is asked for.
      await using gpu = await Gpu.open();
      using stack = new DisposableStack();
      const tensors = Object.fromEntries(
        Object.entries(inputs).map(([input, given]) => {
          const host = "data" in given ? given as HostTensor : randomTensor(given, name);
          return [input, stack.use(gpu.upload(host))] as const;
        }),
      );
      const [first] = Object.values(tensors);
      const launch = async (count: number) => {
        for (let i = 0; i < count; i++) {
          const made: Record<string, Tensor> = gpu.run(kernel, tensors, options);
          for (const tensor of Object.values(made)) tensor[Symbol.dispose]();
        }
        await gpu.read(first!);
      };
      await launch(LAUNCHES);
      const before = Deno.memoryUsage().rss;
      await launch(LAUNCHES);
      const bytes = Math.round((Deno.memoryUsage().rss - before) / LAUNCHES);
      assert.ok(bytes < MOST_BYTES, `${name} keeps ${bytes} bytes of a launch`);
    }
  }
});
