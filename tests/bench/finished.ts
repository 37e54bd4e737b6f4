import type { Device } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { quantizeRows } from "../../kernels/mod.ts";

/**
 * Waits until a device has done all that it was handed: reads what a last, small launch made. The CPU
 * engine gives tensors that no launch is at work on at once, whatever else it has to do.
 */
export async function finished(device: Device): Promise<void> {
  using x = device.upload(f32([1, 8]));
  const { codes, rows } = device.run(quantizeRows, { x }, {});
  codes[Symbol.dispose]();
  await device.read(rows);
  rows[Symbol.dispose]();
}
