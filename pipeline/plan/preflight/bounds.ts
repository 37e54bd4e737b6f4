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
  /** Measures how fast the machine is, in a form for stages to read. */
  readonly measure?: (() => Promise<unknown>) | undefined;
  /** Free bytes where the store lies. */
  readonly diskBytes?: number | undefined;
}

/** The bounds with what is free where nothing is said. */
export async function lookUp(said: Bounds | undefined, store: string): Promise<Bounds> {
  const hostBytes = said?.hostBytes ?? Deno.systemMemoryInfo().available;
  const diskBytes = said?.diskBytes ?? await freeDisk(store);
  return { memoryBytes: hostBytes / 2, ...said, hostBytes, diskBytes };
}

/** Free bytes of the file system that holds a path or will hold it; undefined where it cannot say. */
async function freeDisk(path: string): Promise<number | undefined> {
  const missing = !await isThere(path) && dirname(path) !== path;
  return missing ? await freeDisk(dirname(path)) : await freeBytes(path);
}
