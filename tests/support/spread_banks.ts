import type { Banks } from "../../kernels/device/cpu/banks.ts";
import { Cpu, type CpuOptions } from "../../kernels/device/cpu/cpu.ts";
import type { Region } from "../../kernels/device/cpu/heap.ts";
import { type Allocator, Pool } from "../../kernels/device/memory.ts";

/** Places regions in three banks by turns, so that hardly a launch has its operands in one. */
export function spread(banks: Banks): Allocator<Region> {
  let turn = 0;
  return {
    largest: banks.largest,
    create: (size, label) => banks.createIn(turn++ % 3, size, label)!,
  };
}

/** A CPU engine whose tensors are spread over three banks. */
export function spreadCpu(options: CpuOptions = {}): Promise<Cpu> {
  return Cpu.open({ ...options, pool: (banks) => new Pool(spread(banks)) });
}
