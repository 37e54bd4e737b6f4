/** Characters as Python counts them. */
function characters(text: string): number {
  return Array.from(text).length;
}

const UTF8 = new TextEncoder();

/** How long a choice is, by each way to make choices of different lengths alike. */
const LENGTHS: Readonly<Record<string, (choice: string) => number>> = {
  acc: () => 1,
  acc_norm: characters,
  acc_bytes: (choice) => UTF8.encode(choice).length,
};

/**
 * The choice that a metric takes: that of the largest log-likelihood (acc), by its characters
 * (acc_norm) or by its bytes (acc_bytes); the first one of several.
 */
export function chosen(
  metric: string,
  logLikelihoods: readonly number[],
  choices: readonly string[],
): number {
  const length = LENGTHS[metric]!;
  const scores = logLikelihoods.map((value, at) => value / length(choices[at] ?? ""));
  return scores.reduce((best, score, at) => score > scores[best]! ? at : best, 0);
}
