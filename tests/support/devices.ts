import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import type { Device } from "../../kernels/device/device.ts";
import type { Gpu } from "../../kernels/device/gpu.ts";
import { ReferenceDevice } from "../../kernels/device/reference.ts";
import { sharedGpu } from "./shared_gpu.ts";

/** What launches kernels; the GPU is this machine's best, most often one made of software. */
export const ENGINES: Readonly<Record<string, () => Promise<Cpu | Gpu>>> = {
  "the CPU engine": () => Cpu.open(),
  "a GPU": () => sharedGpu(),
};

/** All that compute the same: the host's references, and what launches kernels. */
export const DEVICES: Readonly<Record<string, () => Promise<Device>>> = {
  "the host reference": () => Promise.resolve(new ReferenceDevice()),
  ...ENGINES,
};
