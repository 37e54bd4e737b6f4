/**
 * Prints, for every kernel, a digest of what its cases come to on the CPU engine: for comparing
 * processes that compile it in another way.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import type { HostTensor, Tensor } from "../../kernels/device/device.ts";
import type { AnyKernel } from "../../kernels/device/kernel.ts";
import * as kernels from "../../kernels/mod.ts";
import { randomTensor } from "./random.ts";

if (import.meta.main) {
  await using cpu = await Cpu.open({ threads: 1 });
  for (const [name, kernel] of Object.entries<AnyKernel>(kernels)) {
    const hash = createHash("sha256");
    for (const { inputs, options, cost } of kernel.cases) {
      // Those that are timed are large, and like others.
      if (cost) continue;
      using stack = new DisposableStack();
      const held: Record<string, Tensor> = Object.fromEntries(
        Object.entries(inputs as Record<string, HostTensor>).map(([key, input]) => [
          key,
          stack.use(cpu.upload("data" in input ? input : randomTensor(input, key))),
        ]),
      );
      const outputs: Record<string, Tensor> = cpu.run(kernel, held, options);
      for (const output of Object.values(outputs)) stack.use(output);
      const changed = kernel.mutates?.flatMap((key: string) => held[key] ?? []) ?? [];
      for (const tensor of [...Object.values(outputs), ...changed]) {
        const { buffer } = (await cpu.read(tensor)).data;
        hash.update(new Uint8Array(buffer));
      }
    }
    Deno.stdout.writeSync(new TextEncoder().encode(`${name} ${hash.digest("hex")}\n`));
  }
}
