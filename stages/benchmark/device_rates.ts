import type { Device, Tensor } from "../../kernels/device/device.ts";
import { f16, f32, u32 } from "../../kernels/device/tensor.ts";
import { matmul, matmulInt8 } from "../../kernels/mod.ts";
import type { Card } from "./step_work.ts";

/** A matrix that no cache holds, and one whose product is bound by arithmetic. */
const [LONG, WIDE] = [16384, 2048];
const [ROWS, INNER, OUTPUTS] = [256, 1024, 1024];
/** Each product is repeated until so many seconds are filled, and the best counts. */
const SECONDS = 0.1;

/**
 * What a device gives at most, in half a second: bytes by a row times a long matrix, operations by
 * products of many rows.
 */
export async function measureRates(device: Device): Promise<Card> {
  using stack = new DisposableStack();
  const keep = (tensor: Tensor) => stack.use(tensor);
  const product = (rows: number, inner: number, outputs: number) => {
    const x = keep(device.upload(f32([rows, inner])));
    const weight = keep(device.upload(f16([outputs, inner])));
    const y = keep(device.empty({ dtype: "f32", shape: [rows, outputs] }));
    return { y, run: () => void device.run(matmul, { x, weight, y }, {}) };
  };
  const best = async ({ y, run }: { readonly y: Tensor; run(): void }) => {
    let least = Infinity;
    run();
    await device.read(y);
    const begin = performance.now();
    while (performance.now() - begin < 1000 * SECONDS) {
      const start = performance.now();
      run();
      await device.read(y);
      least = Math.min(least, (performance.now() - start) / 1000);
    }
    return least;
  };
  const bandwidth = 2 * LONG * WIDE / await best(product(1, WIDE, LONG)) / 1e9;
  const operations = 2 * ROWS * INNER * OUTPUTS / 1e12;
  const float = operations / await best(product(ROWS, INNER, OUTPUTS));
  const inputs = {
    x: keep(device.upload(u32([ROWS, INNER / 4]))),
    x_rows: keep(device.upload(f32([ROWS, 2]))),
    weight: keep(device.upload(u32([OUTPUTS, INNER / 8]))),
    w_rows: keep(device.upload(f32([OUTPUTS, 2]))),
    y: keep(device.empty({ dtype: "f32", shape: [ROWS, OUTPUTS] })),
  };
  const integer = operations / await best({
    y: inputs.y,
    run: () => void device.run(matmulInt8, inputs, { bits: 4 }),
  });
  return { name: device.name, bandwidth, integer, float };
}
