import type { LlamaCppScores } from "../report/evaluation.ts";
import type { WindowDivergence } from "./divergence.ts";

/** What `llama-perplexity --kl-divergence` scores; logits of the baseline are not rounded to 16 bits here. */
const PROTOCOL = "llama.cpp's KL divergence: second halves of windows, errors over tokens";

/**
 * The scores of `llama-perplexity --kl-divergence` for windows without a token added: of a window of n
 * tokens those from n / 2 + 1 on, all of them in one mean, with errors as of tokens that are independent.
 * From `kl_divergence()` in ggml-org/llama.cpp:tools/perplexity/perplexity.cpp at 050fc7f.
 */
export function llamaCppScores(windows: readonly WindowDivergence[]): LlamaCppScores {
  const halves = windows.map(({ kl, agrees, logLikelihoods }) => {
    const first = Math.floor((kl.length + 1) / 2);
    return {
      kl: kl.subarray(first),
      agrees: agrees.subarray(first),
      logLikelihoods: logLikelihoods.subarray(first),
    };
  });
  const kl = meanAndError(halves.flatMap(({ kl }) => [...kl]));
  const nll = meanAndError(halves.flatMap(({ logLikelihoods }) => [...logLikelihoods]));
  const same = halves.flatMap(({ agrees }) => [...agrees]);
  const top1 = same.reduce((sum, one) => sum + one, 0) / same.length;
  const perplexity = Math.exp(-nll.mean);
  const sorted = halves.flatMap(({ kl }) => [...kl]).sort((a, b) => a - b);
  return {
    protocol: PROTOCOL,
    tokens: same.length,
    perplexity,
    perplexityError: perplexity * nll.error,
    kl: kl.mean,
    klError: kl.error,
    kl99: percentile(sorted, 0.99),
    top1,
    top1Error: same.length < 2 ? 0 : Math.sqrt(top1 * (1 - top1) / (same.length - 1)),
  };
}

/** `mean_and_uncertainty` there: no error of ten values or fewer. */
function meanAndError(
  values: readonly number[],
): { readonly mean: number; readonly error: number } {
  const count = values.length;
  const mean = values.reduce((sum, one) => sum + one, 0) / count;
  const spread = values.reduce((sum, one) => sum + one * one, 0) / count - mean * mean;
  return { mean, error: spread > 0 && count > 10 ? Math.sqrt(spread / (count - 1)) : 0 };
}

/** `percentile` there: between the two values beside the place. */
function percentile(sorted: readonly number[], share: number): number {
  const place = share * (sorted.length - 1);
  const [below, above] = [Math.floor(place), Math.min(Math.floor(place) + 1, sorted.length - 1)];
  const part = place - below;
  return (1 - part) * sorted[below]! + part * sorted[above]!;
}
