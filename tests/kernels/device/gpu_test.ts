import { strict as assert } from "node:assert";
import type { AnyKernel } from "../../../kernels/device/kernel.ts";
import { fileURLToPath } from "node:url";
import { Gpu } from "../../../kernels/device/gpu.ts";
import { LARGE_BYTES, OutOfMemoryError, sizeClass } from "../../../kernels/device/memory.ts";
import { f16, f32, u32 } from "../../../kernels/device/tensor.ts";
import { glu, matmul } from "../../../kernels/mod.ts";
import { guardedGpu } from "../../support/guarded_pool.ts";

Deno.test("Gpu reads back what was uploaded, with and without the fast path", async () => {
  for (const fastReadback of [true, false]) {
    await using gpu = await Gpu.open({ fastReadback });
    for (let round = 0; round < 5; round++) {
      using tensor = gpu.upload(u32([3], [round, 7, 9]));
      assert.deepEqual([...(await gpu.read(tensor)).data], [round, 7, 9]);
    }
    using half = gpu.upload(f16([3], [1, -2, 0.5]));
    assert.deepEqual([...(await gpu.read(half)).data], [1, -2, 0.5]);
  }
});

Deno.test("Gpu keeps launches in order when buffers are taken again", async () => {
  await using gpu = await Gpu.open();
  using weight = gpu.upload(f32([8, 8], Array.from({ length: 64 }, (_, i) => i % 9 === 0 ? 2 : 0)));
  let x = gpu.upload(f32([1, 8], [1, 2, 3, 4, 5, 6, 7, 8]));
  // More launches than one command buffer takes.
  for (let round = 0; round < 600; round++) {
    const y = gpu.empty({ dtype: "f32", shape: [1, 8] });
    using one = gpu.upload(f32([1, 8], [1, 2, 3, 4, 5, 6, 7, 8]));
    gpu.run(matmul, { x: round % 2 ? x : one, weight, y }, {});
    x[Symbol.dispose]();
    x = y;
  }
  using last = x;
  assert.deepEqual([...(await gpu.read(last)).data], [4, 8, 12, 16, 20, 24, 28, 32]);
});

Deno.test("Gpu takes the block of a large tensor again though nothing has been read", async () => {
  await using gpu = await Gpu.open();
  using weight = gpu.upload(f32([1024, 8]));
  const shape = [LARGE_BYTES / 4 / 1024, 1024];
  using x = gpu.upload(f32([shape[0]!, 8], Array.from({ length: 8 * shape[0]! }, (_, i) => i % 5)));
  const before = gpu.memory.held;
  let last = gpu.empty({ dtype: "f32", shape });
  for (let round = 0; round < 5; round++) {
    gpu.run(matmul, { x, weight, y: last }, {});
    last[Symbol.dispose]();
    last = gpu.empty({ dtype: "f32", shape });
  }
  last[Symbol.dispose]();
  assert.equal(gpu.memory.held - before, LARGE_BYTES);
});

Deno.test("Gpu names what it had no room for", async () => {
  await using gpu = await Gpu.open({ memoryBytes: 10_000 });
  assert.throws(
    () => gpu.upload(f32([1000, 1000]), "model.layers.3.mlp.up_proj.weight"),
    (error) =>
      error instanceof OutOfMemoryError &&
      /4000000 bytes .* model\.layers\.3\.mlp\.up_proj\.weight: .* raise --memory/.test(
        error.message,
      ),
  );
});

Deno.test("Gpu refuses a tensor larger than a binding and says to split it", async () => {
  await using gpu = await Gpu.open();
  const rows = gpu.limits.bindingBytes / 4 + 1;
  assert.throws(
    () => gpu.empty({ dtype: "f32", shape: [rows] }, "head"),
    /head .* split it by rows/,
  );
});

Deno.test("Gpu lists tensors that were left over when it closes", async () => {
  const gpu = await Gpu.open();
  gpu.upload(f32([4]), "a forgotten gain");
  await assert.rejects(async () => await gpu[Symbol.asyncDispose](), /a forgotten gain f32\[4\]/);
});

Deno.test("Gpu refuses a tensor that was disposed", async () => {
  await using gpu = await Gpu.open();
  const gate = gpu.upload(f32([4]));
  gate[Symbol.dispose]();
  assert.throws(() => gpu.run(glu, { gate, up: gate }, {}), /gate: it was disposed/);
});

Deno.test("Gpu finds a shader that writes behind its tensor", async () => {
  const bad: AnyKernel = {
    ...glu,
    wgsl: (glu.wgsl as string).replace("if (i >= params.quads) { return; }", ""),
  };
  await using guarded = await guardedGpu();
  using gate = guarded.upload(f32([4], [1, 1, 1, 1]));
  const { y } = guarded.device.run(bad, { gate, up: gate }, {});
  using output = y!;
  await assert.rejects(
    () => guarded.holds(output, "y"),
    /byte 16 behind its 16 bytes was written/,
  );
});

Deno.test("a machine without an adapter is told what to install", async () => {
  const setup = fileURLToPath(new URL("../../../kernels/device/adapter.ts", import.meta.url));
  const code = `import { openAdapter } from ${JSON.stringify(`file://${setup}`)};
    navigator.gpu.requestAdapter = () => Promise.resolve(null);
    await openAdapter().catch(({ message }) => console.log(message));`;
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["eval", code] }).output();
  const said = new TextDecoder().decode(stdout);
  assert.match(said, /no adapter was found.*mesa-vulkan-drivers/);
});

Deno.test("sizeClass() wastes at most an eighth above 4 KiB", () => {
  for (let bytes = 4096; bytes < 2 ** 30; bytes = Math.floor(bytes * 1.37) + 1) {
    const size = sizeClass(bytes);
    assert.ok(size >= bytes && size <= bytes * 1.125 + 256, `${bytes} in ${size}`);
  }
});

Deno.test("Gpu says that the device was lost, and what is kept", async () => {
  const prototype = GPUAdapter.prototype;
  const original = prototype.requestDevice;
  let raw: GPUDevice | undefined;
  prototype.requestDevice = async function (descriptor) {
    return raw = await original.call(this, descriptor);
  };
  try {
    const gpu = await Gpu.open();
    using gate = gpu.upload(f32([4]));
    raw!.destroy();
    await raw!.lost;
    assert.throws(
      () => gpu.run(glu, { gate, up: gate }, {}),
      /the device was lost .* run the command again, finished steps are kept/,
    );
    gate[Symbol.dispose]();
    await gpu[Symbol.asyncDispose]();
  } finally {
    prototype.requestDevice = original;
  }
});

Deno.test("Gpu says that a card's memory is full, and what to do", async () => {
  const prototype = GPUAdapter.prototype;
  const original = prototype.requestDevice;
  let raw: GPUDevice | undefined;
  prototype.requestDevice = async function (descriptor) {
    return raw = await original.call(this, descriptor);
  };
  try {
    await using gpu = await Gpu.open();
    using gate = gpu.upload(f32([4]));
    const error = new GPUOutOfMemoryError("no heap");
    raw!.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error }));
    assert.throws(() => gpu.run(glu, { gate, up: gate }, {}), /no memory left \(no heap\)/);
  } finally {
    prototype.requestDevice = original;
  }
});

Deno.test("Gpu gives freed memory back when it is trimmed, and what is in use stays", async () => {
  await using gpu = await Gpu.open();
  using kept = gpu.upload(f32([1024]));
  gpu.upload(f32([2 ** 20]))[Symbol.dispose]();
  const before = gpu.memory.held;
  gpu.trim();
  assert.ok(gpu.memory.held <= before - 2 ** 22);
  assert.equal((await gpu.read(kept)).data.length, 1024);
});
