import { strict as assert } from "node:assert";
import type { Device, Tensor } from "../../../kernels/device/device.ts";
import { Gpu } from "../../../kernels/device/gpu.ts";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import { f32 } from "../../../kernels/device/tensor.ts";
import { glu, matmul } from "../../../kernels/mod.ts";

const DOUBLE = f32([8, 8], Array.from({ length: 64 }, (_, i) => i % 9 === 0 ? 2 : 0));

async function values(device: Device, tensor: Tensor): Promise<number[]> {
  return [...(await device.read(tensor)).data];
}

/** Doubles rows of 8 so many times, each time into a tensor of its own. */
function doubled(device: Device, x: Tensor, weight: Tensor, times: number): Tensor {
  let from: Tensor | undefined;
  for (let i = 0; i < times; i++) {
    const y = device.empty({ dtype: "f32", shape: [1, 8] });
    device.run(matmul, { x: from ?? x, weight, y }, {});
    from?.[Symbol.dispose]();
    from = y;
  }
  return from!;
}

for (const [name, open] of [["Gpu", () => Gpu.open()], ["ReferenceDevice", opened]] as const) {
  Deno.test(`${name} replays what was recorded, on what its inputs hold by then`, async () => {
    await using device = await open();
    using weight = device.upload(DOUBLE);
    using x = device.upload(f32([1, 8]));
    using recording = await device.record(async () => {
      const y = doubled(device, x, weight, 3);
      await Promise.resolve();
      return [y];
    });
    assert.equal(recording.launches, 3);
    for (const first of [1, 5, -2]) {
      const row = Array.from({ length: 8 }, (_, i) => first + i);
      device.write(x, f32([1, 8], row));
      recording.replay();
      // Launches in between take other memory.
      using other = doubled(device, x, weight, 2);
      assert.deepEqual(await values(device, other), row.map((each) => 4 * each));
      assert.deepEqual(await values(device, recording.outputs[0]!), row.map((each) => 8 * each));
    }
  });

  Deno.test(`${name} writes in the order of the launches, a part where there is no more`, async () => {
    await using device = await open();
    using weight = device.upload(DOUBLE);
    using x = device.upload(f32([1, 8], [1, 2, 3, 4, 5, 6, 7, 8]));
    using before = doubled(device, x, weight, 1);
    device.write(x, f32([1, 3], [-1, -2, -3]));
    using after = doubled(device, x, weight, 1);
    assert.deepEqual(await values(device, before), [2, 4, 6, 8, 10, 12, 14, 16]);
    assert.deepEqual(await values(device, after), [-2, -4, -6, 8, 10, 12, 14, 16]);
  });
}

function opened(): Promise<ReferenceDevice> {
  return Promise.resolve(new ReferenceDevice());
}

Deno.test("Gpu replays more launches than one command buffer takes", async () => {
  await using gpu = await Gpu.open();
  using weight = gpu.upload(f32([8, 8], Array.from({ length: 64 }, (_, i) => i % 9 ? 0 : 1)));
  using x = gpu.upload(f32([1, 8], [1, 2, 3, 4, 5, 6, 7, 8]));
  using recording = await gpu.record(() => Promise.resolve([doubled(gpu, x, weight, 1200)]));
  recording.replay();
  assert.deepEqual(await values(gpu, recording.outputs[0]!), [1, 2, 3, 4, 5, 6, 7, 8]);
});

Deno.test("recordings share the memory of what they make, and the last one gives it back", async () => {
  await using gpu = await Gpu.open();
  const rows = f32([64, 2048], Array.from({ length: 64 * 2048 }, (_, i) => i % 7 - 3));
  using x = gpu.upload(rows);
  const record = () =>
    gpu.record(() => {
      using inner = gpu.run(glu, { gate: x }, {}).y;
      return Promise.resolve([gpu.run(glu, { gate: inner }, {}).y]);
    });
  const before = gpu.memory.held;
  const first = await record();
  const one = gpu.memory.held - before;
  const second = await record();
  const two = gpu.memory.held - before;
  first.replay();
  const made = await values(gpu, first.outputs[0]!);
  second.replay();
  assert.deepEqual(await values(gpu, second.outputs[0]!), made);
  first[Symbol.dispose]();
  second.replay();
  assert.deepEqual(await values(gpu, second.outputs[0]!), made);
  second[Symbol.dispose]();
  gpu.trim();
  // The second one needs its own result only, and params.
  assert.ok(one >= 64 * 1536 * 4 && two - one <= 64 * 512 * 4, `${one}, then ${two} bytes`);
  assert.equal(gpu.memory.held, before);
});

Deno.test("a recording refuses what cannot be repeated, and says what is gone", async () => {
  await using gpu = await Gpu.open();
  using weight = gpu.upload(DOUBLE);
  const x = gpu.upload(f32([1, 8]), "the input");
  await assert.rejects(
    gpu.record(() => {
      using tensor = gpu.upload(f32([1]));
      return Promise.resolve([tensor]);
    }),
    /Cannot upload while launches are put on record/,
  );
  await assert.rejects(
    gpu.record(async () => {
      await gpu.read(x);
      return [];
    }),
    /Cannot read while launches are put on record/,
  );
  await assert.rejects(
    gpu.record(async () => {
      await gpu.record(() => Promise.resolve([]));
      return [];
    }),
    /Cannot record while launches are put on record/,
  );
  const recording = await gpu.record(() => Promise.resolve([doubled(gpu, x, weight, 1)]));
  recording.replay();
  x[Symbol.dispose]();
  assert.throws(
    () => recording.replay(),
    /Cannot replay the recording: its input the input was disposed/,
  );
  recording[Symbol.dispose]();
  assert.throws(() => recording.replay(), /Cannot replay the recording: it was disposed/);
  assert.throws(
    () => gpu.write(weight, f32([9, 8])),
    /Cannot write f32\[9, 8\] into f32\[8, 8\]: expected as many elements/,
  );
});
