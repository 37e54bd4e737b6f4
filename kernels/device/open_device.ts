import {
  findAdapter,
  findAdapters,
  keepDrivers,
  limitsOf,
  nameOf,
  refuseOldCompiler,
} from "./adapter.ts";
import { Cpu } from "./cpu/cpu.ts";
import { engineName, loadModule } from "./cpu/module.ts";
import { Gpu } from "./gpu.ts";
import { CPU_LIMITS, type Limits } from "./limits.ts";

/**
 * Where kernels run: `cpu` is the CPU engine, `cpu:N` with so many threads instead of one a processor,
 * `gpu` the best graphics processor, and `gpu:NAME` the adapter whose name contains that, be it a
 * software driver. `auto`, which is meant unless said, is a
 * graphics processor where there is one and else the CPU engine.
 */
export type DeviceChoice = string;

/** What a choice comes to on this machine; no device is opened. */
export interface ChosenDevice {
  readonly limits: Limits;
  /** What runs the kernels: where it is the same, so are the bits of floats. */
  readonly name: string;
  /** None where the CPU engine is chosen. */
  readonly adapter?: GPUAdapter;
  /** Threads of the CPU engine, where they are said. */
  readonly threads?: number;
}

/**
 * Readies this thread for workers that open the device of a choice: drivers they load must not be
 * unloaded with them.
 */
export async function prepareForWorkers(choice: DeviceChoice = "auto"): Promise<void> {
  if (!/^cpu(:|$)/.test(choice)) await keepDrivers();
}

/** Opens a device that was chosen. */
export async function openDevice({ adapter, threads }: ChosenDevice): Promise<Cpu | Gpu> {
  if (adapter) return await Gpu.open({ adapter });
  return await Cpu.open(threads === undefined ? {} : { threads });
}

/** Finds the device of a choice; throws with the way out where there is none. */
export async function chooseDevice(choice: DeviceChoice = "auto"): Promise<ChosenDevice> {
  const [kind, name] = choice.split(/:(.*)/s);
  if (kind === "cpu") return { ...await cpu(), ...name !== undefined && { threads: Number(name) } };
  refuseOldCompiler();
  if (name !== undefined) return chosen(await findAdapter(name));
  if (kind === "gpu") return chosen(await findProcessor());
  const adapter = await findProcessor().catch(() => undefined);
  return adapter ? chosen(adapter) : await cpu();
}

/** The best adapter that is no software driver. */
async function findProcessor(): Promise<GPUAdapter> {
  const adapters = await findAdapters();
  const processor = adapters.find(({ info }) => !info.isFallbackAdapter);
  if (processor) return processor;
  const [adapter] = adapters as [GPUAdapter];
  const name = nameOf(adapter.info);
  throw new Error(
    `Cannot open a GPU: there is only ${name}, a software driver for the tests of shaders, expected a graphics processor; leave --device out to run on the CPU, or name it to have it: --device "gpu:${name}"`,
  );
}

function chosen(adapter: GPUAdapter): ChosenDevice {
  return { adapter, limits: limitsOf(adapter), name: nameOf(adapter.info) };
}

async function cpu(): Promise<ChosenDevice> {
  return { limits: CPU_LIMITS, name: engineName(await loadModule()) };
}
