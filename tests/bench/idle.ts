import type { Cpu } from "../../kernels/device/cpu/cpu.ts";
import type { Gpu } from "../../kernels/device/gpu.ts";
import { f16, f32 } from "../../kernels/device/tensor.ts";
import * as kernels from "../../kernels/mod.ts";

/**
 * Waits until a device has done all that was launched: for what a product of nothing makes behind it.
 * The CPU engine does not wait for launches when a tensor is read that none of them has written.
 */
export async function untilIdle(device: Cpu | Gpu): Promise<void> {
  using x = device.upload(f32([1, 8]));
  using weight = device.upload(f16([1, 8]));
  using y = device.empty({ dtype: "f32", shape: [1, 1] });
  device.run(kernels.matmul, { x, weight, y }, {});
  await device.read(y);
}
