import { strict as assert } from "node:assert";
import { CountingDevice } from "../../../kernels/device/counting.ts";
import { USUAL_LIMITS } from "../../../kernels/device/limits.ts";
import { f32 } from "../../../kernels/device/tensor.ts";
import { GramMatrix } from "../../../stages/quant/gram.ts";

Deno.test("no launch that adds to a Gram matrix of 70B sizes is so large that a card's system would end it", async () => {
  await using device = new CountingDevice(USUAL_LIMITS);
  const { run } = device;
  const sizes: number[] = [];
  device.run = function (...[kernel, inputs, options]: Parameters<typeof run>) {
    const { x, sum } = inputs as unknown as Record<"x" | "sum", { shape: readonly number[] }>;
    sizes.push(2 * x.shape[0]! * sum.shape[0]! * sum.shape[1]!);
    return run.call(device, kernel, inputs, options);
  } as typeof run;
  // Inputs of down_proj of Llama 2 70B, a window of 2,048 tokens.
  using gram = new GramMatrix(device, 28672);
  using x = device.upload({ ...f32([0]), shape: [2048, 28672] });
  gram.add(x);
  assert.ok(sizes.length > 1);
  const whole = 2 * 2048 * 28672 ** 2;
  assert.equal(sizes.reduce((sum, size) => sum + size), whole);
  // Two seconds, which Windows gives, at half a TOP/s.
  assert.ok(Math.max(...sizes) < 1e12, `${Math.max(...sizes)} operations`);
});
