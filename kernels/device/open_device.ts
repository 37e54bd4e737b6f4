import { findAdapter, limitsOf, nameOf } from "./adapter.ts";
import { Cpu } from "./cpu/cpu.ts";
import { engineName, loadModule } from "./cpu/module.ts";
import { Gpu } from "./gpu.ts";
import { CPU_LIMITS, type Limits } from "./limits.ts";

/**
 * Where kernels run: `cpu` is the CPU engine, `gpu` what WebGPU offers, be it a software driver, and
 * `gpu:NAME` the adapter whose name contains that. `auto`, which is meant unless said, is a graphics
 * processor where there is one and else the CPU engine.
 */
export type DeviceChoice = string;

/** What a choice comes to on this machine; no device is opened. */
export interface ChosenDevice {
  readonly limits: Limits;
  /** What runs the kernels: where it is the same, so are the bits of floats. */
  readonly name: string;
  /** None where the CPU engine is chosen. */
  readonly adapter?: GPUAdapter;
}

/** Opens the device of a choice; throws with the way out where there is none. */
export async function openDevice(choice: DeviceChoice = "auto"): Promise<Cpu | Gpu> {
  const { adapter } = await chooseDevice(choice);
  return adapter ? await Gpu.open({ adapter }) : await Cpu.open();
}

/** Finds the device of a choice; throws with the way out where there is none. */
export async function chooseDevice(choice: DeviceChoice = "auto"): Promise<ChosenDevice> {
  const [kind, name] = choice.split(/:(.*)/s);
  if (kind === "cpu") return await cpu();
  if (kind === "gpu") return chosen(await findAdapter(name));
  const adapter = await findAdapter().catch(() => undefined);
  return adapter && !adapter.info.isFallbackAdapter ? chosen(adapter) : await cpu();
}

function chosen(adapter: GPUAdapter): ChosenDevice {
  return { adapter, limits: limitsOf(adapter), name: nameOf(adapter.info) };
}

async function cpu(): Promise<ChosenDevice> {
  return { limits: CPU_LIMITS, name: engineName(await loadModule()) };
}
