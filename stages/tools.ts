import { Gpu } from "../kernels/device/gpu.ts";
import type { Tools } from "./kinds.ts";

/**
 * Tools over the best adapter of this machine; the device is opened on first use, and each stage that
 * asks for it finds it without the memory that stages before have freed.
 */
export function openTools(
  flags: { readonly memory?: number },
): Tools & AsyncDisposable & {
  environment(): Promise<Record<string, string>>;
  deviceBytes(): number | undefined;
} {
  let opened: Promise<Gpu> | undefined;
  let device: Gpu | undefined;
  return {
    memoryBytes: memoryFor(flags),
    async device() {
      const gpu = device = await (opened ??= Gpu.open());
      gpu.trim();
      return gpu;
    },
    async environment() {
      const gpu = await opened?.catch(() => undefined);
      return gpu ? { adapter: gpu.name } : {};
    },
    deviceBytes: () => device?.memory.held,
    async [Symbol.asyncDispose]() {
      await (await opened)?.[Symbol.asyncDispose]();
    },
  };
}

/** Memory that stages may use for data: as the user says, else half of what is free. */
export function memoryFor({ memory }: { readonly memory?: number }): number {
  return memory ?? Deno.systemMemoryInfo().available / 2;
}
