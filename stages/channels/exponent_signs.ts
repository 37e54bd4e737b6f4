import type { ExponentFamily, Exponents } from "./smoothing_candidates.ts";

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
