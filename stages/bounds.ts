import { freeMemory } from "../kernels/device/free_memory.ts";
import type { Limits } from "../kernels/device/limits.ts";
import { chooseTunedDevice } from "../kernels/tuned_device.ts";
import type { MachineRates } from "./duration.ts";
import { measureMachine } from "./machine_rates.ts";
import { memoryFor, type ToolFlags } from "./tools.ts";

/** What there is for the work: the memory of the tools, and of the device where it can be known. */
export interface MachineBounds {
  /** The name of the device. */
  readonly machine: string;
  readonly memoryBytes: number;
  /** As the user says, else what is free. */
  readonly hostBytes: number;
  /** The device's own memory, or `"host"` where it takes from the host's. */
  readonly deviceBytes?: number | "host";
  /** For which launches are planned. */
  readonly limits?: Limits;
  /** Measures how fast the machine is; not where a card would have to be opened for it. */
  readonly measure?: () => Promise<MachineRates>;
}

/** Bounds under the options of the command line, none of which opens a device; throws where the chosen one is not there. */
export async function boundsOf(flags: ToolFlags): Promise<MachineBounds> {
  const chosen = await chooseTunedDevice(flags.device);
  const deviceBytes = await deviceMemory(chosen.adapter).catch(() => undefined);
  return {
    machine: chosen.name,
    memoryBytes: memoryFor(flags),
    hostBytes: flags.memory ?? freeMemory(),
    ...deviceBytes !== undefined && { deviceBytes },
    limits: chosen.limits,
    ...chosen.limits.adapter === "cpu" && { measure: () => measureMachine(flags) },
  };
}

/** WebGPU tells no sizes, so that the driver is asked in its own way; undefined where it has none. */
async function deviceMemory(adapter?: GPUAdapter): Promise<number | "host" | undefined> {
  if (!adapter) return "host";
  const { info } = adapter;
  if (info.isFallbackAdapter || Deno.build.os === "darwin") return "host";
  return await nvidiaMemory(info.description) ?? await amdMemory();
}

async function nvidiaMemory(name: string): Promise<number | undefined> {
  if (!/nvidia/i.test(name)) return undefined;
  const query = ["--query-gpu=name,memory.free", "--format=csv,noheader,nounits"];
  const { stdout } = await new Deno.Command("nvidia-smi", { args: query }).output();
  return freeOnNvidia(new TextDecoder().decode(stdout), name);
}

/** The most memory that a line of `nvidia-smi` tells free on a device of a name, if there is one. */
export function freeOnNvidia(lines: string, name: string): number | undefined {
  const free = [...lines.matchAll(/^(.+), (\d+)$/gm)]
    .flatMap(([, device = "", mebibytes]) => device === name ? Number(mebibytes) * 2 ** 20 : []);
  return free.length > 0 ? Math.max(...free) : undefined;
}

/** The driver of AMD states it in files; more than one such device leaves open which is meant. */
async function amdMemory(): Promise<number | undefined> {
  const cards = "/sys/class/drm";
  const found: number[] = [];
  for await (const { name } of Deno.readDir(cards)) {
    if (!/^card\d+$/.test(name)) continue;
    const read = async (what: string) =>
      Number(await Deno.readTextFile(`${cards}/${name}/device/mem_info_vram_${what}`));
    const [total, used] = await Promise.all([read("total"), read("used")]).catch(() => [NaN, NaN]);
    if (Number.isFinite(total! - used!)) found.push(total! - used!);
  }
  return found.length === 1 ? found[0] : undefined;
}
