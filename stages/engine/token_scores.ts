import type { Device, HostTensor, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { topScores } from "../../kernels/mod.ts";
import type { ScoredToken } from "./engine.ts";

/** What `topScores` makes, in the order in which `readScores()` takes it. */
const PARTS = ["scores", "likeliest", "norms"] as const;

/** Scores rows of logits: their tokens, and so many of the likeliest. */
export function scoreTokens(
  device: Device,
  logits: TensorRef,
  { tokens, count }: { readonly tokens: TensorRef; readonly count: number },
): readonly Tensor[] {
  const made = device.run(topScores, { logits, tokens }, { count });
  return PARTS.map((part) => made[part]);
}

/**
 * Tokens with what `scoreTokens()` made of their rows; `wanted` says how many of the likeliest each row
 * asked for, undefined for no score.
 */
export function readScores(
  tokens: ArrayLike<number>,
  made: readonly HostTensor[],
  wanted: readonly (number | undefined)[],
): ScoredToken[] {
  const [{ data: values }, { data: names }, { data: sums }] = made as [
    HostTensor,
    HostTensor,
    HostTensor,
  ];
  const width = made[0]!.shape[1]!;
  return wanted.map((likeliest, row) => {
    const token = tokens[row]!;
    if (likeliest === undefined) return { token };
    const first = row * width;
    const lost = Math.log(sums[2 * row + 1]!);
    const logprob = (at: number) => values[at]! - sums[2 * row]! - lost;
    const top = Array.from(
      { length: likeliest },
      (_, i) => [names[first + 1 + i]!, logprob(first + 1 + i)] as const,
    );
    return { token, logprob: logprob(first), top };
  });
}

/** How many of the likeliest tokens rows ask for at most; undefined where none has a score. */
export function mostLikeliest(wanted: readonly (number | undefined)[]): number | undefined {
  return wanted.reduce<number | undefined>(
    (most, one) => one === undefined ? most : Math.max(most ?? 0, one),
    undefined,
  );
}
