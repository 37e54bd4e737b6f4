import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import type { AdapterClass, Device } from "../../kernels/device/device.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import { ReferenceDevice } from "../../kernels/device/reference.ts";

/** All that compute the same: the host's references, the CPU engine, and both classes of plans. */
export const DEVICES: Readonly<Record<string, () => Promise<Device>>> = {
  "the host reference": () => Promise.resolve(new ReferenceDevice()),
  "the CPU engine": () => Cpu.open(),
  "the software plans": () => Gpu.open({ as: "software" }),
  "the GPU plans": () => Gpu.open({ as: "gpu" }),
};

/** All classes that launches are planned for. */
export const ADAPTER_CLASSES: readonly AdapterClass[] = ["cpu", "software", "gpu"];

/** The device of a class: the CPU engine, or this machine's adapter planned as for that class. */
export async function openAs(as: AdapterClass): Promise<Cpu | Gpu> {
  return as === "cpu" ? await Cpu.open() : await Gpu.open({ as });
}
