import { hashOf } from "../quant/counter_hash.ts";

/** How a measure differs between two models that were scored on the same windows. */
export interface PairedWindows {
  /** Mean over the windows of what the one has more than the other. */
  readonly difference: number;
  /** Its standard error; undefined of one window. */
  readonly error?: number;
  /** Whether the windows tell the two apart. */
  readonly distinguishable: boolean;
}

/**
 * With fewer windows nothing is told apart: signs alone agree by chance in more than one of twenty pairs of
 * equal models (2 / 2^5).
 */
export const FEWEST_WINDOWS = 6;

const RESAMPLES = 2000;

/** Share of resamples that may lie beyond zero at either end. */
const TAIL = 0.025;

/**
 * The difference of two models window by window, in which what makes a window hard cancels. They are told
 * apart where 0 lies outside of the middle 95 % of means over windows drawn anew from those there are
 * (Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 13.3). The same windows give the same
 * answer.
 */
export function pairedWindows(
  one: readonly number[],
  other: readonly number[],
): PairedWindows {
  const differences = one.map((value, at) => value - other[at]!);
  const count = differences.length;
  const difference = meanOf(differences);
  if (count < 2) return { difference, distinguishable: false };
  const error = standardErrorOf(differences);
  if (count < FEWEST_WINDOWS) return { difference, error, distinguishable: false };
  const means = Array.from({ length: RESAMPLES }, (_, sample) => {
    let sum = 0;
    for (let draw = 0; draw < count; draw++) {
      sum += differences[Math.floor(hashOf(sample, draw) / 2 ** 32 * count)]!;
    }
    return sum / count;
  }).sort((a, b) => a - b);
  const [low, high] = [means[RESAMPLES * TAIL]!, means[RESAMPLES * (1 - TAIL) - 1]!];
  return { difference, error, distinguishable: low > 0 || high < 0 };
}

/** The mean of some values. */
function meanOf(values: readonly number[]): number {
  return values.reduce((sum, one) => sum + one, 0) / values.length;
}

/** Standard error of the mean of some values, at least two. */
export function standardErrorOf(values: readonly number[]): number {
  const mean = meanOf(values);
  const squares = values.reduce((sum, one) => sum + (one - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}
