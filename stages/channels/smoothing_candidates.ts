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
