import { headerCheckpoint } from "../formats/checkpoint.ts";
import { type KernelWork, WorkCounter } from "./counted_work.ts";
import type { LayerOutline, ModelFiles } from "./family.ts";
import { type Limits, USUAL_LIMITS } from "../../kernels/device/limits.ts";

/** What the runtime holds at work: young objects, and with a driver compiled shaders. */
const RUNTIME = 3 * 2 ** 25;
const DRIVER_RUNTIME = 5 * 2 ** 25;
/** Bytes of arrays for each that is in use. */
const UNCOLLECTED = 1.75;
/** Most bytes beside that of small arrays that nobody uses any more, before the collector looks. */
const [UNSEEN, UNSEEN_TIMES] = [3 * 2 ** 24, 3];

/** The most that some work on a device takes; zeros where it needs none. */
export interface DevicePeaks {
  readonly deviceBytes: number;
  /** The largest array on its way to the device or back. */
  readonly largest: number;
  /** Bytes on the way to the device at once: the driver has a copy of them. */
  readonly staged: number;
  /** What the runtime holds while it works. */
  readonly runtimeBytes: number;
  /** What was launched and not yet taken, by kernel. */
  readonly work: readonly KernelWork[];
}

const NO_DEVICE = { deviceBytes: 0, largest: 0, staged: 0, runtimeBytes: RUNTIME, work: [] };

/**
 * Runs work on a device that counts only; on a usual one where no limits are known. Whoever opens it again
 * finds nothing that was freed before, as with the device of a step.
 */
export async function countPeaks(
  limits: unknown,
  work: (open: () => Promise<WorkCounter>) => Promise<void>,
): Promise<DevicePeaks> {
  let device: WorkCounter | undefined;
  await work(() => {
    device ??= new WorkCounter(limits as Limits ?? USUAL_LIMITS);
    device.trim();
    return Promise.resolve(device);
  });
  // Only now: what was left over by work that failed would hide why.
  await device?.[Symbol.asyncDispose]();
  if (!device) return NO_DEVICE;
  const launched = device.taken();
  // The CPU engine takes values where they are, and its kernels are compiled before it works.
  return device.limits.adapter === "cpu"
    ? { ...device.peaks, work: launched, staged: 0, runtimeBytes: RUNTIME }
    : { ...device.peaks, work: launched, runtimeBytes: DRIVER_RUNTIME };
}

/** As many windows of token ids, which all are one. */
export function emptyWindows(
  { windows, context }: { readonly windows: number; readonly context: number },
): Uint32Array<ArrayBuffer>[] {
  return Array<Uint32Array<ArrayBuffer>>(windows).fill(new Uint32Array(context));
}

/**
 * The first layers, behind which every one is like one of them; at least two, for what goes into the
 * second is no longer as it was embedded.
 */
export function layersThatDiffer(
  { architecture: { layers }, checkpoint: { tensors }, record }: ModelFiles,
): readonly LayerOutline[] {
  const forms = layers.map(({ index, linears, sites, ...layer }) => {
    const stored = [...layer.tensors].map(([name, shape]) => [tensors.get(name)?.dtype, shape]);
    const schemes = linears.map(({ name }) => record.linears[name]);
    const ordered = sites.map(({ name }) => record.orders?.[name] !== undefined);
    // A range is a number, whatever its value.
    return JSON.stringify(
      [stored, schemes, record.kv[index], ordered],
      (key, value) => key === "range" && typeof value === "number" ? 0 : value,
    );
  });
  const last = forms.findLastIndex((form, at) => forms.indexOf(form) === at);
  return layers.slice(0, Math.max(2, last + 1));
}

/** The same model with no more than its first layers. */
export function firstLayers(files: ModelFiles, count: number): ModelFiles {
  const { architecture } = files;
  const layers = architecture.layers.slice(0, count);
  const config = { ...architecture.config, layers: layers.length };
  return { ...files, architecture: { ...architecture, config, layers } };
}

/** Headers in the place of a model's files. */
export function headersOf({ checkpoint, ...files }: ModelFiles): ModelFiles {
  return { ...files, checkpoint: headerCheckpoint(checkpoint) };
}

/** Stops nothing. */
export const FOREVER: AbortSignal = new AbortController().signal;

/** Peak bytes on the host beside what the process holds anyway, with so many in arrays at once. */
export function hostPeak(arrays: number, peaks?: DevicePeaks): number {
  const { largest, staged, runtimeBytes } = peaks ?? NO_DEVICE;
  const used = arrays + largest;
  return runtimeBytes + UNCOLLECTED * used + Math.min(UNSEEN, UNSEEN_TIMES * used) + staged;
}

/** The same where arrays are given back as soon as they are of no use. */
export function releasedPeak(arrays: number): number {
  return RUNTIME + arrays + 2 ** 23;
}
