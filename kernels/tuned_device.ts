import { homedir } from "node:os";
import { dirname, join } from "node:path";
import type { Cpu } from "./device/cpu/cpu.ts";
import { Gpu } from "./device/gpu.ts";
import type { Choices } from "./device/limits.ts";
import {
  chooseDevice,
  type ChosenDevice,
  type DeviceChoice,
  openDevice,
} from "./device/open_device.ts";
import { measureApart, tune } from "./tune.ts";

/** Raised where a kept choice says nothing any more, since the plans are others. */
const VERSION = 4;

/** Which plans are quickest, by adapter, as a file keeps them. */
interface Kept {
  readonly version: number;
  readonly adapters: Readonly<Record<string, Choices>>;
}

/** How a device is tuned. */
export interface TuneOptions {
  /** The file that keeps what was found; one in the user's cache directory unless said. */
  readonly path?: string;
  /** Whether to measure where nothing is kept; where the device is no software driver unless said. */
  readonly measured?: boolean;
  /** Finds the choices of devices that it opens, in the place of measuring. */
  readonly find?: (open: () => Promise<Gpu>) => Promise<Choices>;
}

/**
 * Opens the device of a choice, a graphics processor with the plans that are quickest on it: measured
 * for two seconds when it is first used (\`tune\`), then kept by the adapter's name. Bits are those of
 * any other plan. QUATTUOR_TUNE says otherwise: \`off\` neither reads nor measures, \`on\` measures software drivers too.
 */
export async function openTunedDevice(
  choice: DeviceChoice = "auto",
  options: TuneOptions = {},
): Promise<Cpu | Gpu> {
  const chosen = await chooseDevice(choice);
  if (!chosen.adapter || isOff()) return await openDevice(chosen);
  const path = options.path ?? keptPath();
  const kept = await readKept(path);
  const software = chosen.adapter.info.isFallbackAdapter;
  const measured = options.measured ?? (!software || Deno.env.get("QUATTUOR_TUNE") === "on");
  let choices = kept.adapters[chosen.name];
  if (!choices && measured) {
    const { find = measuredChoices } = options;
    // A device that cannot be measured can still run its usual plans, or says itself what it has.
    choices = await find(() => openGpu(choice)).catch(() => undefined);
    if (choices) await keep(path, withAdapter(kept, chosen.name, choices));
  }
  const device = await openDevice(chosen);
  if (choices) device.choose(choices);
  return device;
}

function withAdapter({ adapters }: Kept, name: string, choices: Choices): Kept {
  return { version: VERSION, adapters: { ...adapters, [name]: choices } };
}

/** Another device of a choice, for trials. */
async function openGpu(choice: DeviceChoice): Promise<Gpu> {
  const { adapter } = await chooseDevice(choice);
  return await Gpu.open(adapter ? { adapter } : {});
}

async function measuredChoices(open: () => Promise<Gpu>): Promise<Choices> {
  const { measure, end } = measureApart(open);
  try {
    const gpu = await open();
    const { limits } = gpu;
    await gpu[Symbol.asyncDispose]();
    return await tune(limits, { measure });
  } finally {
    await end();
  }
}

/** The device of a choice with the plans that are kept for it; nothing is opened. */
export async function chooseTunedDevice(
  choice: DeviceChoice = "auto",
  { path = keptPath() }: TuneOptions = {},
): Promise<ChosenDevice> {
  const chosen = await chooseDevice(choice);
  const found = chosen.adapter && !isOff() && (await readKept(path)).adapters[chosen.name];
  return found ? { ...chosen, limits: { ...chosen.limits, choices: found } } : chosen;
}

function isOff(): boolean {
  return Deno.env.get("QUATTUOR_TUNE") === "off";
}

function keptPath(): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? join(homedir(), ".cache");
  return join(cache, "quattuor", "plans.json");
}

/** What is kept; nothing where no file can be read, or it is of another version or no JSON. */
async function readKept(path: string): Promise<Kept> {
  const none = { version: VERSION, adapters: {} };
  try {
    const kept = JSON.parse(await Deno.readTextFile(path)) as Partial<Kept> | null;
    if (kept?.version !== VERSION || typeof kept.adapters !== "object") return none;
    const sound = Object.entries(kept.adapters ?? {}).filter(([, choices]) => isChoices(choices));
    return { version: VERSION, adapters: Object.fromEntries(sound) };
  } catch {
    return none;
  }
}

function isChoices(value: unknown): value is Choices {
  if (typeof value !== "object" || value === null) return false;
  const flags = ["keySubgroups", "rowSubgroups", "slices", "subgroups"] as const;
  const { integerTile, ...rest } = value as Record<string, unknown>;
  return (integerTile === undefined || [32, 64, 128].includes(integerTile as number)) &&
    Object.entries(rest).every(([key, flag]) =>
      flags.includes(key as typeof flags[number]) && typeof flag === "boolean"
    );
}

/** Writes a file whole or not at all; where none can be written, the next process measures again. */
async function keep(path: string, kept: Kept): Promise<void> {
  const next = `${path}.${crypto.randomUUID()}`;
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(next, `${JSON.stringify(kept, undefined, 2)}\n`);
    await Deno.rename(next, path);
  } catch {
    await Deno.remove(next).catch(() => {});
  }
}
