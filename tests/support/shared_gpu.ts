import { findAdapter } from "../../kernels/device/adapter.ts";
import { Gpu, type GpuOptions } from "../../kernels/device/gpu.ts";

let shared: Promise<GPUAdapter> | undefined;

/**
 * Opens a `Gpu` on the one device that all of a process share, which compiles each shader once: on
 * drivers made of software that takes longer than to run it. It cannot be lost, and keeps to the end of
 * the process what a `Gpu` leaves.
 */
export async function sharedGpu(options: GpuOptions = {}): Promise<Gpu> {
  return await Gpu.open({ ...options, adapter: await sharedAdapter() });
}

/** The best adapter, every device of which is the same. */
export function sharedAdapter(): Promise<GPUAdapter> {
  return shared ??= findAdapter().then((adapter) => {
    let opened: Promise<GPUDevice> | undefined;
    return new Proxy(adapter, {
      get(_, name) {
        if (name !== "requestDevice") return Reflect.get(adapter, name, adapter);
        return (wanted: GPUDeviceDescriptor) =>
          opened ??= adapter.requestDevice(wanted).then(compilesOnce);
      },
    });
  });
}

/** Has a device give again what it has made of the same words, and live on. */
function compilesOnce(device: GPUDevice): GPUDevice {
  const number = new Map<object, number>();
  const keyOf = (words: object) => JSON.stringify(words, (_, value) => number.get(value) ?? value);
  const once = <D extends object, T extends object>(make: (words: D) => T) => {
    const made = new Map<string, T>();
    return (words: D) => {
      const key = keyOf(words);
      const found = made.get(key) ?? make.call(device, words);
      made.set(key, found);
      if (!number.has(found)) number.set(found, number.size);
      return found;
    };
  };
  return Object.assign(device, {
    createBindGroupLayout: once(device.createBindGroupLayout),
    createPipelineLayout: once(device.createPipelineLayout),
    createShaderModule: once(device.createShaderModule),
    createComputePipeline: once(device.createComputePipeline),
    destroy: () => {},
  });
}
