import { freeMemory } from "../kernels/device/free_memory.ts";
import { chooseDevice } from "../kernels/device/open_device.ts";
import { openTunedDevice } from "../kernels/tuned_device.ts";
import type { Tools } from "./kinds.ts";

/** What the user says of where to work. */
export interface ToolFlags {
  readonly memory?: number;
  /** See `DeviceChoice`. */
  readonly device?: string;
}

/**
 * Tools over a device of this machine; the device is opened on first use, and each stage that
 * asks for it finds it without the memory that stages before have freed.
 */
export function openTools(
  flags: ToolFlags,
): Tools & AsyncDisposable & {
  machine(): Promise<string>;
  environment(): Promise<Record<string, string>>;
  deviceBytes(): number | undefined;
} {
  let opened: ReturnType<typeof openTunedDevice> | undefined;
  let device: Awaited<typeof opened>;
  return {
    memoryBytes: memoryFor(flags),
    async device() {
      device = await (opened ??= openTunedDevice(flags.device));
      device.trim();
      return device;
    },
    machine: async () => (await chooseDevice(flags.device)).name,
    async environment() {
      const device = await opened?.catch(() => undefined);
      return device ? { adapter: device.name } : {};
    },
    deviceBytes: () => device?.memory.held,
    async [Symbol.asyncDispose]() {
      await (await opened)?.[Symbol.asyncDispose]();
    },
  };
}

/** Memory that stages may use for data: as the user says, else half of what is free. */
export function memoryFor({ memory }: { readonly memory?: number }): number {
  return memory ?? freeMemory() / 2;
}
