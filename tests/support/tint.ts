import { create } from "webgpu";

/** Tint, Chrome's shader compiler, and Chrome's checks of WebGPU, with no driver behind them. */
export interface Tint extends Disposable {
  /** Has WebGPU's default limits; nothing runs on it. */
  readonly device: GPUDevice;
  /** Held for as long as its device is used: the library ends both with the first. */
  readonly gpu: GPU;
}

/** Opens Dawn's device without a driver: it compiles and validates, and computes nothing. */
export async function openTint(): Promise<Tint> {
  const gpu = create(["backend=null"]);
  const adapter = await gpu.requestAdapter();
  const requiredFeatures: GPUFeatureName[] = ["shader-f16", "subgroups"];
  const device = await adapter!.requestDevice({ requiredFeatures });
  return { device, gpu, [Symbol.dispose]: () => device.destroy() };
}

/** What a device's compiler has against the text of a shader, a line a fault. */
export async function faultsOf(device: GPUDevice, code: string): Promise<string[]> {
  device.pushErrorScope("validation");
  const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
  const error = await device.popErrorScope();
  const lines = code.split("\n");
  const said = messages.filter(({ type }) => type === "error").map(({ message, lineNum }) =>
    `${message} in line ${lineNum}: ${lines[lineNum - 1]?.trim()}`
  );
  return said.length > 0 || !error ? said : [error.message];
}
