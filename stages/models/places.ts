import { setImmediate } from "node:timers/promises";
import type { Device, HostTensor, TensorRef } from "../../kernels/device/device.ts";
import { lazyTensor, u32 } from "../../kernels/device/tensor.ts";
import type { DecoderConfig } from "./config.ts";

/** Where tokens stand: their positions u32 [tokens] and the angles of all positions. */
export interface Places {
  readonly positions: TensorRef;
  readonly angles: TensorRef;
}

/** The places of a sequence of its own from position 0, for as many tokens. */
export function openPlaces(
  device: Device,
  config: DecoderConfig,
  tokens: number,
): Places & Disposable {
  const positions = device.upload(u32([tokens], Array.from({ length: tokens }, (_, i) => i)));
  const angles = device.upload(ropeAngles(config, tokens));
  return {
    positions,
    angles,
    [Symbol.dispose]() {
      positions[Symbol.dispose]();
      angles[Symbol.dispose]();
    },
  };
}

/** Waits for the device, then lets timers and signals of the program have their turn. */
export async function settle(device: Device, { positions }: Places): Promise<void> {
  const { data } = await device.read(positions);
  // A device that only counts is never waited for.
  if (data.length > 0) await setImmediate();
}

/**
 * Cosines and sines of the first positions, f32 [positions, head size]: half a row of each.
 *
 * Frequencies and angles are rounded to f32 as transformers rounds them.
 */
export function ropeAngles(config: DecoderConfig, positions: number): HostTensor {
  const shape = [positions, config.headSize];
  return lazyTensor({ dtype: "f32", shape }, () => anglesOf(config, positions));
}

function anglesOf(config: DecoderConfig, positions: number): Float32Array {
  const frequencies = ropeFrequencies(config);
  const half = frequencies.length;
  const data = new Float32Array(positions * 2 * half);
  for (let position = 0; position < positions; position++) {
    frequencies.forEach((frequency, pair) => {
      const angle = Math.fround(position * frequency);
      data[position * 2 * half + pair] = Math.cos(angle);
      data[position * 2 * half + half + pair] = Math.sin(angle);
    });
  }
  return data;
}

/** Radians a position of each channel pair, after the config's scaling. */
function ropeFrequencies({ headSize, ropeTheta, ropeScaling }: DecoderConfig): Float32Array {
  const plain = Float32Array.from(
    { length: headSize / 2 },
    (_, pair) => 1 / Math.fround(ropeTheta ** Math.fround(2 * pair / headSize)),
  );
  if (ropeScaling.type === "default") return plain;
  if (ropeScaling.type === "linear") return plain.map((value) => value / ropeScaling.factor);
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalPositions } = ropeScaling;
  return plain.map((frequency) => {
    const wavelength = 2 * Math.PI / frequency;
    if (wavelength < originalPositions / highFrequencyFactor) return frequency;
    if (wavelength > originalPositions / lowFrequencyFactor) return frequency / factor;
    const smooth = (originalPositions / wavelength - lowFrequencyFactor) /
      (highFrequencyFactor - lowFrequencyFactor);
    return (1 - smooth) * frequency / factor + smooth * frequency;
  });
}
