/** Bytes of weights that may stay on the device, of the memory there is for data. */
export function weightShare(memoryBytes: number): number {
  return 0.6 * memoryBytes;
}

/** Bytes of residual streams that may stay on the device between two layers. */
export function streamShare(memoryBytes: number): number {
  return 0.25 * memoryBytes;
}
