import { Gpu } from "../kernels/device/gpu.ts";
import type { Tools } from "./kinds.ts";

/** Tools over the best adapter of this machine; the device is opened on first use. */
export function openTools(flags: { readonly memory?: number }): Tools & AsyncDisposable {
  let opened: Promise<Gpu> | undefined;
  return {
    memoryBytes: flags.memory ?? Deno.systemMemoryInfo().available / 2,
    device: () => opened ??= Gpu.open(),
    async [Symbol.asyncDispose]() {
      await (await opened)?.[Symbol.asyncDispose]();
    },
  };
}
