import type { Evaluation } from "./evaluation.ts";

/** What quantization cost, in the figures that a reader of no protocol understands. */
export interface MeasuredQuality {
  readonly perplexity: number;
  /** Of the same model in full precision. */
  readonly baseline?: number;
  /** Mean of KL(full precision || model) over the scored tokens, in nats. */
  readonly kl?: number;
  /** Share of tokens for which the likeliest token is that of full precision. */
  readonly top1?: number;
  /** Text, windows and context in words. */
  readonly protocol: string;
}

/** The quality that an evaluation found. */
export function qualityOf({ scores, protocol }: Evaluation): MeasuredQuality {
  const { perplexity, perplexity_ratio: ratio, kl, top1 } = scores;
  return {
    perplexity,
    ...ratio !== undefined && { baseline: perplexity / ratio },
    ...kl !== undefined && { kl },
    ...top1 !== undefined && { top1 },
    protocol: `${protocol.windows} windows of ${protocol.context} tokens`,
  };
}
