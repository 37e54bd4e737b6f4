import type { Device } from "../../kernels/device/device.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import { ReferenceDevice } from "../../kernels/device/reference.ts";

/** The three that compute the same: the host's references, and both classes of plans. */
export const DEVICES: Readonly<Record<string, () => Promise<Device>>> = {
  "the host reference": () => Promise.resolve(new ReferenceDevice()),
  "the software plans": () => Gpu.open({ as: "software" }),
  "the GPU plans": () => Gpu.open({ as: "gpu" }),
};
