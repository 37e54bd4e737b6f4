/** Largest tokens of a step by which steps are counted: vLLM's buckets; the last count is of larger ones. */
export const STEP_BOUNDS: readonly number[] = [
  1,
  8,
  16,
  32,
  64,
  128,
  256,
  512,
  1024,
  2048,
  4096,
  8192,
  16_384,
];

/** How many steps had how many tokens. */
export interface StepSizes {
  /** Steps up to each bound and above the one before, then those above all. */
  readonly counts: readonly number[];
  /** Tokens of all steps. */
  readonly tokens: number;
}

/** Before any step. */
export const NO_STEPS: StepSizes = { counts: [...STEP_BOUNDS, Infinity].map(() => 0), tokens: 0 };

/** The same with one step more. */
export function withStep({ counts, tokens }: StepSizes, more: number): StepSizes {
  const at = [...STEP_BOUNDS, Infinity].findIndex((bound) => more <= bound);
  return { counts: counts.with(at, counts[at]! + 1), tokens: tokens + more };
}

/** Steps of two engines, one after the other. */
export function allSteps(before: StepSizes, now: StepSizes): StepSizes {
  return {
    counts: now.counts.map((count, at) => count + before.counts[at]!),
    tokens: before.tokens + now.tokens,
  };
}
