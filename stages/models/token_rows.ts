import type { DecoderConfig } from "./config.ts";

/** Throws where texts have tokens for which the model has no row; names the first and counts them. */
export function checkTokenRows(
  texts: readonly Uint32Array[],
  { vocabulary }: Pick<DecoderConfig, "vocabulary">,
): void {
  let count = 0;
  let first: number | undefined;
  for (const ids of texts) {
    for (const id of ids) {
      if (id < vocabulary) continue;
      first ??= id;
      count++;
    }
  }
  if (first === undefined) return;
  throw new RangeError(
    `Cannot run the text: ${count} of its tokens, such as ${first}, have no row in the model's ` +
      `embedding table, expected ids below ${vocabulary}; its tokenizer is larger than the model`,
  );
}
