import { type HostTensor, lazyTensor } from "../../kernels/device/tensor.ts";

/** How the frequencies of rotary position embedding are scaled; the names are those of transformers. */
export type RopeScaling =
  | { readonly type: "default" }
  /** Nothing turns: all angles are 0. */
  | { readonly type: "none" }
  | { readonly type: "linear"; readonly factor: number }
  | {
    /** Chen et al. 2023's rule by the length of a sequence, where that is above `positions`. */
    readonly type: "dynamic";
    readonly factor: number;
    readonly positions: number;
  }
  | {
    /** Peng et al. 2023, section 3. */
    readonly type: "yarn";
    readonly factor: number;
    /** Turns over the original positions above which a frequency stays, and below which it is divided. */
    readonly betaFast: number;
    readonly betaSlow: number;
    /** Whether the channels between which frequencies are mixed are whole numbers. */
    readonly truncate: boolean;
    /** What cosines and sines are multiplied by, f32. */
    readonly attention: number;
    readonly originalPositions: number;
  }
  | {
    /** Ding et al. 2024: a divisor for each pair of channels, others for long sequences. */
    readonly type: "longrope";
    readonly short: readonly number[];
    readonly long: readonly number[];
    readonly attention: number;
    readonly originalPositions: number;
  }
  | {
    readonly type: "llama3";
    readonly factor: number;
    readonly lowFrequencyFactor: number;
    readonly highFrequencyFactor: number;
    readonly originalPositions: number;
  };

/** A rotary position embedding, which layers may share. */
export interface Rope {
  readonly theta: number;
  /** Channels of a head that turn, the first ones; an even number. */
  readonly channels: number;
  readonly scaling: RopeScaling;
}

/** What layers have whose queries and keys do not turn. */
export const STILL: Rope = { theta: 1, channels: 2, scaling: { type: "none" } };

/** Channels of a head that a layer turns, which are the first ones. */
export function turnedChannels({ channels, scaling }: Rope): number {
  return scaling.type === "none" ? 0 : channels;
}

/**
 * Cosines and sines of the first positions, f32 [positions, channels that turn]: half a row of each,
 * for sequences of as many tokens, times the scale of attention that some scalings ask for.
 *
 * Frequencies, angles and products are rounded to f32 as transformers rounds them.
 */
export function ropeAngles(rope: Rope, positions: number): HostTensor {
  const shape = [positions, rope.channels];
  return lazyTensor({ dtype: "f32", shape }, () => anglesOf(rope, positions));
}

function anglesOf(rope: Rope, positions: number): Float32Array {
  const frequencies = ropeFrequencies(rope, positions);
  const scale = attentionScale(rope);
  const half = frequencies.length;
  const data = new Float32Array(positions * 2 * half);
  for (let position = 0; position < positions; position++) {
    frequencies.forEach((frequency, pair) => {
      const angle = Math.fround(position * frequency);
      data[position * 2 * half + pair] = Math.fround(Math.cos(angle)) * scale;
      data[position * 2 * half + half + pair] = Math.fround(Math.sin(angle)) * scale;
    });
  }
  return data;
}

/** What cosines and sines are multiplied by. */
export function attentionScale({ scaling }: Rope): number {
  return scaling.type === "yarn" || scaling.type === "longrope" ? scaling.attention : 1;
}

/** Radians a position of each channel pair, f32, in sequences of so many tokens. */
export function ropeFrequencies(rope: Rope, length: number): Float32Array<ArrayBuffer> {
  const { theta, channels, scaling } = rope;
  switch (scaling.type) {
    case "default":
      return inverse(periods(theta, channels));
    case "none":
      return new Float32Array(channels / 2);
    case "linear":
      return inverse(periods(theta, channels)).map((value) => value / Math.fround(scaling.factor));
    case "dynamic":
      return inverse(periods(dynamicTheta(theta, channels, { ...scaling, length }), channels));
    case "yarn":
      return yarnFrequencies(theta, channels, scaling);
    case "longrope": {
      const factors = length > scaling.originalPositions ? scaling.long : scaling.short;
      return inverse(
        periods(theta, channels).map((period, pair) => Math.fround(factors[pair]!) * period),
      );
    }
    case "llama3":
      return inverse(periods(theta, channels)).map((value) => llama3Frequency(value, scaling));
  }
}

/** Positions a radian of each pair, unscaled. */
function periods(theta: number, channels: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(
    { length: channels / 2 },
    (_, pair) => theta ** Math.fround(2 * pair / channels),
  );
}

function inverse(values: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  return values.map((value) => 1 / value);
}

function dynamicTheta(
  theta: number,
  channels: number,
  { factor, positions, length }: {
    readonly factor: number;
    readonly positions: number;
    readonly length: number;
  },
): number {
  const { fround } = Math;
  const stretch = fround(fround(factor * Math.max(length, positions)) / positions);
  return fround(theta * fround(fround(stretch - (factor - 1)) ** (channels / (channels - 2))));
}

function yarnFrequencies(
  theta: number,
  channels: number,
  { factor, betaFast, betaSlow, truncate, originalPositions }: RopeScaling & { type: "yarn" },
): Float32Array<ArrayBuffer> {
  const { fround, log } = Math;
  const channelOf = (turns: number) =>
    channels * log(originalPositions / (turns * 2 * Math.PI)) / (2 * log(theta));
  const whole = (round: (value: number) => number, value: number) =>
    truncate ? round(value) : value;
  const first = Math.max(0, whole(Math.floor, channelOf(betaFast)));
  const last = Math.min(channels - 1, whole(Math.ceil, channelOf(betaSlow)));
  const width = fround(last === first ? 0.001 : last - first);
  return periods(theta, channels).map((period, pair) => {
    const ramp = Math.min(1, Math.max(0, fround(fround(pair - first) / width)));
    const kept = fround(1 - ramp);
    const divided = fround(1 / fround(fround(factor) * period));
    return fround(divided * fround(1 - kept)) + fround(fround(1 / period) * kept);
  });
}

function llama3Frequency(
  frequency: number,
  { factor, lowFrequencyFactor, highFrequencyFactor, originalPositions }: RopeScaling & {
    type: "llama3";
  },
): number {
  const wavelength = 2 * Math.PI / frequency;
  if (wavelength < originalPositions / highFrequencyFactor) return frequency;
  if (wavelength > originalPositions / lowFrequencyFactor) return frequency / factor;
  const smooth = (originalPositions / wavelength - lowFrequencyFactor) /
    (highFrequencyFactor - lowFrequencyFactor);
  return (1 - smooth) * frequency / factor + smooth * frequency;
}
