import type { Magnitude } from "./stats.ts";

/** Magnitudes of channels from what `channelStats` has of them over so many tokens, f32 [3 channels]. */
export function magnitudeTensors(
  values: Float32Array<ArrayBuffer>,
  tokens: number,
): readonly (readonly [Magnitude, Float32Array<ArrayBuffer>])[] {
  const size = values.length / 3;
  // Where there were none, sums are 0.
  const count = Math.max(1, tokens);
  return [
    ["absmax", values.slice(0, size)],
    ["absmean", values.slice(size, 2 * size).map((sum) => sum / count)],
    ["rms", values.slice(2 * size).map((sum) => Math.sqrt(sum / count))],
  ];
}
