import { sizeClass } from "../../kernels/device/memory.ts";

/** What the runtime holds once a device works: compiled shaders, and young objects. */
const DEVICE_RUNTIME = 2 ** 27;
const RUNTIME = 2 ** 25;
/**
 * Bytes of arrays there are for each that is in use: the collector does not look at their size.
 * Measured 1.5 to 2.5 on stages with arrays of 50 to 300 MB.
 */
const UNCOLLECTED = 2;

/**
 * Bytes that a device's pool holds after phases of work, each a list of the bytes of tensors that
 * are there at once: freed blocks wait for tensors of their own size class.
 */
export function heldBytes(phases: readonly (readonly number[])[]): number {
  const most = new Map<number, number>();
  for (const phase of phases) {
    const here = new Map<number, number>();
    for (const bytes of phase) {
      const size = sizeClass(bytes);
      here.set(size, (here.get(size) ?? 0) + 1);
    }
    for (const [size, count] of here) most.set(size, Math.max(most.get(size) ?? 0, count));
  }
  return [...most].reduce((sum, [size, count]) => sum + size * count, 0);
}

/** Peak bytes on the host beside what the process holds anyway. */
export function hostPeak(
  { arrays, staged }: {
    /** Bytes of arrays in use at once. */
    readonly arrays: number;
    /** Where a device works, bytes on the way to or from it: the driver has a copy of them. */
    readonly staged?: number;
  },
): number {
  const runtime = staged === undefined ? RUNTIME : DEVICE_RUNTIME;
  return runtime + UNCOLLECTED * arrays + (staged ?? 0);
}

/** The sum of some numbers of bytes. */
export function sumOf(bytes: Iterable<number>): number {
  let sum = 0;
  for (const each of bytes) sum += each;
  return sum;
}
