import type { PairedScore } from "./task_result.ts";

/** What an item adds to a score: a ratio of sums, of values and of weights. */
export interface Share {
  readonly sum: number;
  readonly weight: number;
}

/** What is made of the ratio of sums. */
export type ScoreForm = "mean" | "perplexity" | "bits";

const FORMS: Readonly<
  Record<ScoreForm, {
    value(ratio: number): number;
    /** The derivative. */
    slope(ratio: number): number;
  }>
> = {
  mean: { value: (ratio) => ratio, slope: () => 1 },
  perplexity: { value: (ratio) => Math.exp(-ratio), slope: (ratio) => -Math.exp(-ratio) },
  bits: { value: (ratio) => -ratio / Math.LN2, slope: () => -1 / Math.LN2 },
};

const PERPLEXITIES: Readonly<Record<string, ScoreForm>> = {
  perplexity: "perplexity",
  word_perplexity: "perplexity",
  byte_perplexity: "perplexity",
  bits_per_byte: "bits",
};

/** What a metric makes of the ratio of sums. */
export function scoreForm(metric: string): ScoreForm {
  return PERPLEXITIES[metric] ?? "mean";
}

/** A score with what each item moves it by. */
export interface ScoreEstimate {
  readonly value: number;
  readonly influences: readonly number[];
}

/**
 * A score of items, and their influences: the error of a ratio by its linear approximation (Cochran
 * 1977, Sampling Techniques, section 6.4). Of a plain mean these are the deviations from it, whose
 * error is lm-eval's `mean_stderr`.
 */
export function estimateScore(shares: readonly Share[], form: ScoreForm): ScoreEstimate {
  const sum = shares.reduce((all, share) => all + share.sum, 0);
  const weight = shares.reduce((all, share) => all + share.weight, 0);
  const ratio = sum / weight;
  const { value, slope } = FORMS[form];
  const scale = slope(ratio) * shares.length / weight;
  const influences = shares.map((share) => scale * (share.sum - ratio * share.weight));
  return { value: value(ratio), influences };
}

/** The standard error of a score by the influences of its items; undefined of one item alone. */
export function standardError(influences: readonly number[]): number | undefined {
  const count = influences.length;
  if (count < 2) return undefined;
  const squares = influences.reduce((sum, each) => sum + each * each, 0);
  return Math.sqrt(squares / (count * (count - 1)));
}

/** How a score differs from another one of the same items, with the error of the difference. */
export function pairedDifference(
  { value, influences }: ScoreEstimate,
  other: ScoreEstimate,
): Pick<PairedScore, "difference" | "error"> {
  const error = standardError(influences.map((each, at) => each - other.influences[at]!));
  return { difference: value - other.value, ...error !== undefined && { error } };
}
