import { percent, significant } from "../../pipeline/words.ts";

/** A perplexity with its standard error, where there is one. */
export function perplexityText(perplexity: number, error: number | undefined): string {
  const text = significant(perplexity, 5);
  if (error === undefined) return text;
  const decimals = text.split(".")[1]?.length ?? 0;
  return `${text} ± ${error.toFixed(decimals)}`;
}

/** A divergence with its standard error to as many decimals, where there is one. */
export function divergenceText(kl: number | undefined, error: number | undefined): string {
  if (kl === undefined) return "";
  const text = significant(kl, 3);
  if (error === undefined) return text;
  return `${text} ± ${error.toFixed(text.split(".")[1]?.length ?? 0)}`;
}

/** A share in percent with its standard error, where there is one. */
export function shareText(share: number | undefined, error: number | undefined): string {
  if (share === undefined) return "";
  return error === undefined
    ? `${percent(share, 2)} %`
    : `${percent(share, 2)} ± ${percent(error, 2)} %`;
}
