import { type DeviceRates, type KernelWork, rooflineSeconds } from "./models/counted_work.ts";
import type { ModelFiles } from "./models/family.ts";
import { type DevicePeaks, layersThatDiffer } from "./models/peaks.ts";

/** How fast a machine was seen to be. */
export interface MachineRates extends DeviceRates {
  /** Bytes of half precision a second that the host turns to single precision and back, and hashes. */
  readonly written: number;
  /** Values a second that the host multiplies by a Hadamard matrix: the measure of its arithmetic. */
  readonly arithmetic: number;
}

/** Work of a stage. */
interface Share {
  /** Of the device, and how many times as much as was counted. */
  readonly work?: readonly KernelWork[];
  readonly times?: number;
  /** Bytes that are written. */
  readonly written?: number;
  /** Values that the host works at, each as long as rotating one takes. */
  readonly arithmetic?: number;
}

/** What kernels reach of the roofline together: the products that are timed reach more than most. */
const REACHED = 0.75;
/** Seconds for a step whatever it does: files are opened, hashed, synced. */
const STEP = 0.05;

/** What all layers come to, where those that differ were counted. */
export function ofAllLayers(files: ModelFiles, { work }: Pick<DevicePeaks, "work">): Share {
  return { work, times: files.architecture.layers.length / layersThatDiffer(files).length };
}

/** How long work takes, as a forecast says it; nothing where nobody knows how fast the machine is. */
export function duration(rates: unknown, shares: readonly Share[]): { readonly seconds?: number } {
  if (rates === undefined) return {};
  const machine = rates as MachineRates;
  const seconds = shares.reduce(
    (sum, { work = [], times = 1, written = 0, arithmetic = 0 }) =>
      sum + times * rooflineSeconds(work, machine) / REACHED + written / machine.written +
      arithmetic / machine.arithmetic,
    STEP,
  );
  return { seconds };
}
