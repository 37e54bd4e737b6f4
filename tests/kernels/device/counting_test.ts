import { strict as assert } from "node:assert";
import { findAdapter, limitsOf } from "../../../kernels/device/adapter.ts";
import { CountingDevice } from "../../../kernels/device/counting.ts";
import { Gpu } from "../../../kernels/device/gpu.ts";
import { USUAL_LIMITS } from "../../../kernels/device/limits.ts";
import { LARGE_BYTES } from "../../../kernels/device/memory.ts";
import { f32, withoutValues } from "../../../kernels/device/tensor.ts";
import { glu, matmul } from "../../../kernels/mod.ts";

/** What each piece of work left of a device's memory. */
async function watch(device: Gpu | CountingDevice): Promise<readonly object[]> {
  const seen: object[] = [];
  const note = () => seen.push({ ...device.memory });
  using weight = device.upload(f32([8, 8]));
  // More launches than one submit takes, of which each needs a block of its own.
  for (let round = 0; round < 1100; round++) {
    using x = device.upload(f32([1, 8]));
    using y = device.empty({ dtype: "f32", shape: [1, 8] });
    device.run(matmul, { x, weight, y }, {});
    if (round % 97 === 0) note();
  }
  note();
  using wide = device.upload(f32([1024, 8]));
  using many = device.upload(f32([LARGE_BYTES / 4096, 8]));
  for (let round = 0; round < 3; round++) {
    using y = device.empty({ dtype: "f32", shape: [LARGE_BYTES / 4096, 1024] });
    device.run(matmul, { x: many, weight: wide, y }, {});
    note();
  }
  {
    using recording = await device.record(() => {
      using first = device.run(glu, { gate: many, up: many }, {}).y;
      return Promise.resolve([device.run(glu, { gate: first, up: many }, {}).y]);
    });
    for (let round = 0; round < 300; round++) recording.replay();
    await device.read(recording.outputs[0]!);
    note();
  }
  device.trim();
  note();
  using last = device.upload(f32([3000]));
  device.write(last, f32([2000]));
  await device.read(last);
  note();
  return seen;
}

Deno.test("the limits that are expected of a device are those it has", async () => {
  await using gpu = await Gpu.open();
  assert.deepEqual(limitsOf(await findAdapter()), gpu.limits);
});

Deno.test("a counting device tells what goes to it at once", async () => {
  await using device = new CountingDevice(USUAL_LIMITS);
  using small = device.upload(f32([100]));
  using large = device.upload(f32([200]));
  using sum = device.empty({ dtype: "f32", shape: [300] });
  assert.deepEqual([device.peaks.largest, device.peaks.staged], [800, 1200]);
  await device.read(small);
  using _last = device.upload(f32([250]));
  assert.equal(device.peaks.staged, 1200);
  await device.read(sum);
  assert.equal(device.peaks.largest, 1200);
  assert.equal(large.shape[0], 200);
});

Deno.test("a counting device holds at every moment what a GPU would hold", async () => {
  await using gpu = await Gpu.open();
  await using counting = new CountingDevice(gpu.limits);
  assert.deepEqual(await watch(counting), await watch(gpu));
});

Deno.test("a counting device needs no values and has none, and others refuse what has none", async () => {
  await using gpu = await Gpu.open();
  await using counting = new CountingDevice({ ...gpu.limits, bindingBytes: 2 ** 40 });
  using huge = counting.upload(withoutValues({ dtype: "f16", shape: [2 ** 20, 2 ** 18] }));
  assert.equal(counting.memory.peak, 2 ** 39 + 512);
  assert.equal((await counting.read(huge)).data.length, 0);
  assert.throws(
    () => gpu.upload(f32([3], [])),
    /Cannot use f32\[3\]: it has 0 values, expected 3/,
  );
});

Deno.test("a counting device lists tensors that were left over when it closes", async () => {
  const device = new CountingDevice(USUAL_LIMITS);
  device.empty({ dtype: "f32", shape: [4] }, "a forgotten gain");
  await assert.rejects(
    async () => await device[Symbol.asyncDispose](),
    /a forgotten gain f32\[4\]/,
  );
});
