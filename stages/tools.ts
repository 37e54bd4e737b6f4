import { Gpu } from "../kernels/device/gpu.ts";
import type { Tools } from "./kinds.ts";

/**
 * Tools over the best adapter of this machine; the device is opened on first use, and each stage that
 * asks for it finds it without the memory that stages before have freed.
 */
export function openTools(flags: { readonly memory?: number }): Tools & AsyncDisposable {
  let opened: Promise<Gpu> | undefined;
  return {
    memoryBytes: flags.memory ?? Deno.systemMemoryInfo().available / 2,
    async device() {
      const gpu = await (opened ??= Gpu.open());
      gpu.trim();
      return gpu;
    },
    async [Symbol.asyncDispose]() {
      await (await opened)?.[Symbol.asyncDispose]();
    },
  };
}
