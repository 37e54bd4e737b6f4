/** How many channels have a magnitude within a step: [step, channels], steps without any left out. */
export type Histogram = readonly (readonly [step: number, channels: number])[];

/** A channel that stands out, by how many times the median channel's its magnitude is. */
export interface WorstChannel {
  readonly channel: number;
  readonly before: number;
  readonly after: number;
}

/** How the largest magnitudes of an activation's channels lie to each other, before and after a scale. */
export interface ChannelSpread {
  readonly before: Histogram;
  readonly after: Histogram;
  /** The channels that stood out most before, the worst first. */
  readonly worst: readonly WorstChannel[];
}

/** A spread with where it was measured: `spreads.json` of a smoothed model is a list of them. */
export interface PlacedSpread extends ChannelSpread {
  readonly layer: number;
  readonly place: string;
}

/** File name of the spreads in a model artifact that was smoothed. */
export const SPREADS = "spreads.json";

/** Most bytes of a spread in it: two histograms of some 25 steps, and the worst channels. */
export const SPREAD_BYTES = 1000;

const WORST = 3;

/**
 * The spread of channels whose magnitudes are divided by `scale`; magnitudes are in half powers of two of
 * their median, f32 [channels] both. Channels that are always 0 are left out.
 */
export function channelSpread(magnitudes: Float32Array, scale: Float32Array): ChannelSpread {
  const before = timesMedian(magnitudes);
  const after = timesMedian(magnitudes.map((magnitude, channel) => magnitude / scale[channel]!));
  const order = [...before.keys()].sort((a, b) => before[b]! - before[a]!);
  return {
    before: histogram(before),
    after: histogram(after),
    worst: order.slice(0, WORST).filter((channel) => before[channel]! > 0).map((channel) => ({
      channel,
      before: rounded(before[channel]!),
      after: rounded(after[channel]!),
    })),
  };
}

/** Magnitudes by the median of those above 0. */
function timesMedian(magnitudes: Float32Array): Float32Array {
  const seen = magnitudes.filter((magnitude) => magnitude > 0).sort();
  const { length } = seen;
  if (length === 0) return magnitudes;
  const median = (seen[(length - 1) >> 1]! + seen[length >> 1]!) / 2;
  return magnitudes.map((magnitude) => magnitude / median);
}

function histogram(values: Float32Array): Histogram {
  const counts = new Map<number, number>();
  for (const value of values) {
    if (!(value > 0)) continue;
    const step = Math.floor(2 * Math.log2(value)) / 2;
    counts.set(step, (counts.get(step) ?? 0) + 1);
  }
  return [...counts].sort(([a], [b]) => a - b);
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
