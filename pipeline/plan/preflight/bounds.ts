import { dirname } from "node:path";
import { isThere } from "../../store/directories.ts";
import { freeBytes } from "../../store/trouble.ts";

/** What there is for the work; what is left out is looked up, and not compared if nobody knows it. */
export interface Bounds {
  /** What the work is done on, by the name that artifacts keep; told, not compared. */
  readonly machine?: string | undefined;
  /** How much of their data stages may keep in memory at once, as the tools say it. */
  readonly memoryBytes: number;
  /** The most a step may take of the host's memory; what is free unless said. */
  readonly hostBytes?: number | undefined;
  /** The device's own memory, or `"host"` where it takes from the host's. */
  readonly deviceBytes?: number | "host" | undefined;
  /** What the device allows beside that, in a form for stages to read. */
  readonly limits?: unknown;
  /** Free bytes where the store lies. */
  readonly diskBytes?: number | undefined;
}

/** The bounds with what is free where nothing is said. */
export async function lookUp(said: Bounds | undefined, store: string): Promise<Bounds> {
  const hostBytes = said?.hostBytes ?? await freeMemory();
  const diskBytes = said?.diskBytes ?? await freeDisk(store);
  return { memoryBytes: hostBytes / 2, ...said, hostBytes, diskBytes };
}

/** Bytes of memory that this process may still take: what the system has, or its control group. */
async function freeMemory(): Promise<number> {
  const { available } = Deno.systemMemoryInfo();
  return Math.min(available, await groupBytes() ?? available);
}

/** Free bytes of the file system that holds a path or will hold it; undefined where it cannot say. */
async function freeDisk(path: string): Promise<number | undefined> {
  const missing = !await isThere(path) && dirname(path) !== path;
  return missing ? await freeDisk(dirname(path)) : await freeBytes(path);
}

/** What a container's limit leaves; pages of files do not count, the system drops them when asked. */
async function groupBytes(): Promise<number | undefined> {
  if (Deno.build.os !== "linux") return undefined;
  const read = (path: string) => Deno.readTextFile(path).catch(() => "");
  const [, own = "/"] = /^0::(\S*)$/m.exec(await read("/proc/self/cgroup")) ?? [];
  for (const group of [`/sys/fs/cgroup${own}`, "/sys/fs/cgroup"]) {
    // "max" and a file that is not there give NaN.
    const most = parseInt(await read(`${group}/memory.max`));
    const taken = parseInt(await read(`${group}/memory.current`));
    if (!Number.isFinite(most - taken)) continue;
    const [, files = "0"] = /^inactive_file (\d+)$/m.exec(await read(`${group}/memory.stat`)) ?? [];
    return Math.max(0, most - taken + Number(files));
  }
  return undefined;
}
