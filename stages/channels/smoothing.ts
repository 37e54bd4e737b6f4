import { z } from "zod";

/** Exponents of a smoothing scale: of the activations' span and of the weights' span. */
export interface Exponents {
  readonly alpha: number;
  readonly beta: number;
}

type Part = "alpha_only" | "beta_only" | "equal" | "complement" | "pairs";

/** What each family tries after (0, 0), part by part. */
const FAMILIES = {
  alpha_only: ["alpha_only"],
  beta_only: ["beta_only"],
  single: ["alpha_only", "beta_only"],
  equal: ["equal"],
  complement: ["complement"],
  alpha_or_complement: ["alpha_only", "complement"],
  beta_or_complement: ["beta_only", "complement"],
  single_or_complement: ["alpha_only", "beta_only", "complement"],
  alpha_or_pairs: ["alpha_only", "pairs"],
  beta_or_pairs: ["beta_only", "pairs"],
  single_or_pairs: ["alpha_only", "beta_only", "pairs"],
  all_pairs: ["beta_only", "alpha_only", "pairs"],
} as const satisfies Readonly<Record<string, readonly Part[]>>;

/**
 * Which exponents a grid search tries. `alpha_only` has (a, 0), `beta_only` (0, b), `equal` (a, a),
 * `complement` (a, 1 - a), `pairs` all (a, b); `single` is one of the first two.
 */
export const exponentFamily = z.enum(Object.keys(FAMILIES) as (keyof typeof FAMILIES)[]);

/** See `exponentFamily`. */
export type ExponentFamily = z.infer<typeof exponentFamily>;

/**
 * The exponents of a family in the order they are tried, (0, 0) first; each exponent takes i / grids
 * for i from 1 to grids - 1.
 */
export function exponentCandidates(family: ExponentFamily, grids: number): readonly Exponents[] {
  const line = Array.from({ length: grids - 1 }, (_, i) => (i + 1) / grids);
  const parts: Readonly<Record<Part, () => Exponents[]>> = {
    alpha_only: () => line.map((a) => ({ alpha: a, beta: 0 })),
    beta_only: () => line.map((b) => ({ alpha: 0, beta: b })),
    equal: () => line.map((a) => ({ alpha: a, beta: a })),
    complement: () => line.map((a) => ({ alpha: a, beta: 1 - a })),
    pairs: () => line.flatMap((a) => line.map((b) => ({ alpha: a, beta: b }))),
  };
  return [{ alpha: 0, beta: 0 }, ...FAMILIES[family].flatMap((part) => parts[part]())];
}

type Sign = "positive" | "zero" | "complement" | "single" | "pairs";

/** What alpha (rows) and beta (columns) ask for (.github/ALGORITHMS.md#candidates). */
const TABLE: Readonly<Record<Sign, Readonly<Record<Sign, ExponentFamily>>>> = {
  positive: {
    positive: "equal",
    zero: "alpha_only",
    complement: "complement",
    single: "alpha_or_complement",
    pairs: "alpha_or_pairs",
  },
  zero: {
    positive: "beta_only",
    zero: "single",
    complement: "beta_or_complement",
    single: "single_or_complement",
    pairs: "single_or_pairs",
  },
  complement: {
    positive: "complement",
    zero: "alpha_or_complement",
    complement: "complement",
    single: "alpha_or_complement",
    pairs: "alpha_or_pairs",
  },
  single: {
    positive: "beta_or_complement",
    zero: "single_or_complement",
    complement: "beta_or_complement",
    single: "single_or_complement",
    pairs: "single_or_pairs",
  },
  pairs: {
    positive: "beta_or_pairs",
    zero: "all_pairs",
    complement: "all_pairs",
    single: "all_pairs",
    pairs: "all_pairs",
  },
};

/**
 * The family that an alpha and a beta ask for, which a search reads by sign alone: above 0, 0, and -1
 * (complement line), -2 (single-sided as well), -3 (all pairs). Other negative betas count as -3,
 * other negative alphas are refused.
 */
export function familyOf({ alpha, beta }: Exponents): ExponentFamily {
  const row = sentinel(alpha);
  if (row === undefined) {
    throw new RangeError(
      `Cannot search with alpha ${alpha}: expected 0 to 1, -1, -2 or -3; or name candidates`,
    );
  }
  return TABLE[row][sentinel(beta) ?? "pairs"];
}

/** The one pair of exponents that is meant where nothing is searched: a negative one complements. */
export function manualExponents({ alpha, beta }: Exponents): Exponents {
  const meant = beta < 0
    ? { alpha, beta: 1 - alpha }
    : alpha < 0
    ? { alpha: 1 - beta, beta }
    : { alpha, beta };
  if (meant.alpha < 0 || (meant.alpha === 0 && meant.beta === 0)) {
    throw new RangeError(
      `Cannot smooth with alpha ${alpha} and beta ${beta}: expected one of them above 0, and at most one negative`,
    );
  }
  return meant;
}

function sentinel(exponent: number): Sign | undefined {
  if (exponent > 0) return "positive";
  return ({ 0: "zero", [-1]: "complement", [-2]: "single", [-3]: "pairs" } as const)[
    exponent as 0 | -1 | -2 | -3
  ];
}

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
