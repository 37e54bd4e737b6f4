import type { Device } from "../../kernels/device/device.ts";
import { f16, f32 } from "../../kernels/device/tensor.ts";
import { matmul } from "../../kernels/mod.ts";

/** Operations a second of a small product, the best of a few. */
export async function measureSpeed(device: Device): Promise<number> {
  const [rows, size] = [256, 512];
  using x = device.upload(f32([rows, size]));
  using weight = device.upload(f16([size, size]));
  using y = device.empty({ dtype: "f32", shape: [rows, size] });
  const once = async () => {
    const start = performance.now();
    device.run(matmul, { x, weight, y }, {});
    await device.read(x);
    return (performance.now() - start) / 1000;
  };
  await once();
  // The least of a few: whatever else the machine does only adds to it.
  const seconds = [await once(), await once(), await once()];
  return 2 * rows * size * size / Math.min(...seconds);
}
