import { strict as assert } from "node:assert";
import { findAdapter } from "../../../kernels/device/adapter.ts";
import { Gpu } from "../../../kernels/device/gpu.ts";
import type { AnyKernel } from "../../../kernels/device/kernel.ts";
import { chooseDevice } from "../../../kernels/device/open_device.ts";
import { f32 } from "../../../kernels/device/tensor.ts";
import { glu, matmulInt8 } from "../../../kernels/mod.ts";

/*
 * What real hardware does, injected: each fault is a sentence with a way out, told before any number that
 * it spoiled. What a run leaves behind then is in tests/stages/tools_faults_test.ts.
 */

/** Opens a GPU together with the device beneath it. */
async function openBare(): Promise<{ readonly gpu: Gpu; readonly bare: GPUDevice }> {
  const prototype = GPUAdapter.prototype;
  const { requestDevice } = prototype;
  let bare: GPUDevice | undefined;
  prototype.requestDevice = async function (descriptor) {
    return bare = await requestDevice.call(this, descriptor);
  };
  try {
    return { gpu: await Gpu.open(), bare: bare! };
  } finally {
    prototype.requestDevice = requestDevice;
  }
}

/** Has every map of a buffer end in an error while something runs. */
async function withoutMaps(
  during: () => Promise<void>,
  { beforeIt = () => {} }: { readonly beforeIt?: () => void } = {},
): Promise<void> {
  const { mapAsync } = GPUBuffer.prototype;
  GPUBuffer.prototype.mapAsync = () => {
    beforeIt();
    return Promise.reject(new DOMException("the buffer cannot be mapped", "OperationError"));
  };
  try {
    await during();
  } finally {
    GPUBuffer.prototype.mapAsync = mapAsync;
  }
}

for (const warm of [false, true]) {
  const words = warm ? "a buffer that was read before" : "a buffer's first read";
  Deno.test(`a device that is lost during ${words} says so, and gives no values`, async () => {
    const { gpu, bare } = await openBare();
    using gate = gpu.upload(f32([4], [1, 2, 3, 4]));
    using y = gpu.run(glu, { gate, up: gate }, {}).y;
    if (warm) { for (let i = 0; i < 3; i++) await gpu.read(y); }
    bare.destroy();
    await assert.rejects(
      () => gpu.read(y),
      /^Error: Cannot go on with the GPU: the device was lost .*run the command again, finished steps are kept/,
    );
    gate[Symbol.dispose]();
    y[Symbol.dispose]();
    await gpu[Symbol.asyncDispose]();
  });
}

Deno.test("memory that cannot be mapped is a sentence, and the device goes on if it can", async () => {
  const { gpu } = await openBare();
  await using _gpu = gpu;
  using gate = gpu.upload(f32([4], [1, 2, 3, 4]));
  await withoutMaps(() =>
    assert.rejects(
      () => gpu.read(gate),
      /its memory could not be read \(.*mapped\), .*run the command again/,
    )
  );
  assert.deepEqual([...(await gpu.read(gate)).data], [1, 2, 3, 4]);
});

Deno.test("no memory for what is read back is told as that, though the map fails first", async () => {
  const { gpu, bare } = await openBare();
  await using _gpu = gpu;
  using gate = gpu.upload(f32([4]));
  // A card tells it in a task of its own.
  const full = () =>
    queueMicrotask(() => {
      const error = new GPUOutOfMemoryError("no heap for staging");
      bare.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error }));
    });
  await withoutMaps(
    () =>
      assert.rejects(
        () => gpu.read(gate),
        /no memory left \(no heap for staging\), .*lower --memory or the context/,
      ),
    { beforeIt: full },
  );
});

Deno.test("a shader that a driver refuses is named, and no value is read of it", async () => {
  const text = glu.wgsl as string;
  for (
    const wgsl of [
      text.replace("fn main(", "fn main(("),
      text.replace(/@workgroup_size\(\w+\)/, "@workgroup_size(4096)"),
    ]
  ) {
    const bad: AnyKernel = { ...glu, wgsl };
    await using gpu = await Gpu.open();
    using gate = gpu.upload(f32([4], [1, 2, 3, 4]));
    const { y } = gpu.run(bad, { gate, up: gate }, {});
    using made = y!;
    const sentence =
      /^Error: Cannot go on with the GPU: its driver does not take the shader of glu \(.+\), .*leave --device out/s;
    await assert.rejects(() => gpu.read(made), sentence);
    assert.throws(() => gpu.run(glu, { gate, up: gate }, {}), sentence);
  }
});

Deno.test("an adapter that has no subgroups is opened without them, and so are their plans", async () => {
  const prototype = GPUAdapter.prototype;
  const { requestDevice } = prototype;
  prototype.requestDevice = function (descriptor) {
    if ([...descriptor?.requiredFeatures ?? []].length > 0) {
      return Promise.reject(new TypeError("requiredFeatures must be a subset"));
    }
    return requestDevice.call(this, descriptor);
  };
  try {
    await using gpu = await Gpu.open({ choices: { subgroups: true } });
    assert.equal(gpu.limits.subgroupThreads, undefined);
    const [{ inputs, options }] = matmulInt8.cases as unknown as [
      (typeof matmulInt8.cases)[number],
    ];
    assert.equal(matmulInt8.plan(inputs, options, gpu.limits).shader, "few");
  } finally {
    prototype.requestDevice = requestDevice;
  }
});

Deno.test("of two adapters each is found by its name, and the one that is no software is preferred", async () => {
  const real = await findAdapter();
  const like = (description: string, isFallbackAdapter: boolean) =>
    ({
      limits: real.limits,
      info: { ...infoOf(real), description, isFallbackAdapter },
    }) as unknown as GPUAdapter;
  const [soft, first, second] = [
    like("llvmpipe", true),
    like("Radeon RX 7900", false),
    like("Intel Arc A770", false),
  ];
  const { requestAdapter } = navigator.gpu;
  const have = (high: GPUAdapter, low: GPUAdapter) => {
    navigator.gpu.requestAdapter = (options) =>
      Promise.resolve(
        options?.forceFallbackAdapter
          ? soft
          : options?.powerPreference === "low-power"
          ? low
          : high,
      );
  };
  try {
    have(first, second);
    assert.equal((await chooseDevice("gpu")).name, "Radeon RX 7900");
    assert.equal((await chooseDevice("auto")).name, "Radeon RX 7900");
    assert.equal((await chooseDevice("gpu:arc")).name, "Intel Arc A770");
    assert.equal((await chooseDevice("gpu:llvm")).limits.turns, 65535);
    await assert.rejects(
      () => chooseDevice("gpu:GeForce"),
      /named GeForce: there is Radeon RX 7900, Intel Arc A770, llvmpipe, expected one of these/,
    );
    // A system may call the software driver its best.
    have(soft, second);
    assert.equal((await chooseDevice("auto")).name, "Intel Arc A770");
    assert.equal((await chooseDevice("gpu")).name, "Intel Arc A770");
  } finally {
    navigator.gpu.requestAdapter = requestAdapter;
  }
});

function infoOf({ info }: GPUAdapter) {
  const { vendor, architecture, device, subgroupMinSize, subgroupMaxSize } = info;
  return { vendor, architecture, device, subgroupMinSize, subgroupMaxSize };
}
