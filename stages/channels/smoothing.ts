import type { Exponents } from "./smoothing_candidates.ts";

/**
 * Smoothing factors of channels whose activations span `inputs` and whose weights span `weights`:
 * inputs^alpha / weights^beta in single precision (SmoothQuant, Xiao et al. 2023), f32 [channels].
 * Inputs are divided by them, weights multiplied.
 *
 * A factor of 0 becomes 1. One that is infinite or no number, as a channel of zero weights makes it,
 * turns all of them into 1 (.github/ALGORITHMS.md#smoothing).
 */
export function smoothingScale(
  inputs: Float32Array,
  weights: Float32Array,
  { alpha, beta }: Exponents,
): Float32Array<ArrayBuffer> {
  const scale = Float32Array.from(inputs, (input, channel) => {
    const numerator = alpha === 0 ? 1 : Math.fround(input ** alpha);
    if (beta === 0) return numerator;
    return numerator / Math.fround(weights[channel]! ** beta);
  });
  if (!scale.every(Number.isFinite)) return scale.fill(1);
  return scale.map((factor) => factor === 0 ? 1 : factor);
}

/** Place of the smallest error, the last of equal ones: smoothing lets later candidates win ties. */
export function lastSmallest(errors: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < errors.length; i++) {
    if (errors[i]! <= errors[best]!) best = i;
  }
  return best;
}
