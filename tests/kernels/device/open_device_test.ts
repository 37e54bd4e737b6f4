import { strict as assert } from "node:assert";
import {
  driverEnvironment,
  findAdapter,
  nameOf,
  noAdapter,
  refuseOldCompiler,
} from "../../../kernels/device/adapter.ts";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { Gpu } from "../../../kernels/device/gpu.ts";
import { chooseDevice, openDevice } from "../../../kernels/device/open_device.ts";

Deno.test("a software driver is never chosen by itself, and the CPU engine takes its place", async () => {
  const { info } = await findAdapter();
  const { adapter, limits } = await chooseDevice("auto");
  assert.equal(adapter === undefined, info.isFallbackAdapter);
  assert.equal(limits.adapter, info.isFallbackAdapter ? "cpu" : "gpu");
});

Deno.test("a device is opened as it is asked for, by class or by part of its name", async () => {
  await using cpu = await openDevice(await chooseDevice("cpu"));
  assert.ok(cpu instanceof Cpu);
  assert.equal(cpu.name, (await chooseDevice("cpu")).name);
  await using three = await openDevice(await chooseDevice("cpu:3"));
  assert.ok(three instanceof Cpu);
  assert.deepEqual([cpu.threads, three.threads], [navigator.hardwareConcurrency, 3]);
  assert.equal(three.name, cpu.name);
  const { info } = await findAdapter();
  const part = nameOf(info).slice(0, 6).toUpperCase();
  await using gpu = await openDevice(await chooseDevice(`gpu:${part}`));
  assert.ok(gpu instanceof Gpu);
  assert.equal(gpu.name, nameOf(info));
});

Deno.test("a graphics processor that is asked for is none that is made of software", async () => {
  const { info } = await findAdapter();
  if (info.isFallbackAdapter) {
    await assert.rejects(
      () => chooseDevice("gpu"),
      ({ message }: Error) => message.includes(`--device "gpu:${nameOf(info)}"`),
    );
  } else {
    assert.equal((await chooseDevice("gpu")).name, nameOf(info));
  }
});

Deno.test("a graphics processor of an unknown name is refused with the names there are", async () => {
  const { info } = await findAdapter();
  await assert.rejects(
    () => chooseDevice("gpu:no such thing"),
    ({ message }: Error) => message.includes("no such thing") && message.includes(nameOf(info)),
  );
});

Deno.test("drivers are told to be Vulkan where there is a choice, and what a system without one is to do", () => {
  assert.deepEqual(driverEnvironment("windows", "/tmp"), { DENO_WEBGPU_BACKEND: "vulkan" });
  assert.equal(driverEnvironment("linux", "/tmp").DENO_WEBGPU_BACKEND, "vulkan");
  assert.deepEqual(driverEnvironment("darwin", "/tmp"), {});
  assert.match(noAdapter("windows"), /vendor's driver.*DENO_WEBGPU_BACKEND=dx12/);
  assert.match(noAdapter("linux"), /mesa-vulkan-drivers/);
});

Deno.test("DirectX 12 with its old compiler is refused at the start, unless somebody says that he wants it", () => {
  const refuses = (os: typeof Deno.build.os, variables: Record<string, string>) => {
    try {
      refuseOldCompiler(os, (name) => variables[name]);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  };
  const dx12 = { DENO_WEBGPU_BACKEND: "dx12" };
  assert.match(refuses("windows", dx12)!, /FXC.*expected DENO_WEBGPU_DX12_COMPILER=dxc .*Vulkan$/);
  for (const compiler of ["dxc", "fxc"]) {
    assert.equal(refuses("windows", { ...dx12, DENO_WEBGPU_DX12_COMPILER: compiler }), undefined);
  }
  assert.equal(refuses("windows", { DENO_WEBGPU_BACKEND: "vulkan" }), undefined);
  assert.equal(refuses("windows", {}), undefined);
  assert.equal(refuses("linux", dx12), undefined);
});
