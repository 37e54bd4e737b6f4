/**
 * How large a tokenizer may be: well beyond every published one (vocabularies reach 1.2 million
 * tokens, merges 0.6 million, tokens some hundred characters), far below what a hostile file can ask
 * for.
 */
export const TOKENIZER_LIMITS = {
  /** Ids are below this. */
  ids: 2 ** 22,
  /** Tokens of a vocabulary, and tokens added to one. */
  tokens: 2 ** 21,
  merges: 2 ** 20,
  /** Characters of a token as the vocabulary spells it. */
  tokenLength: 2 ** 12,
  /** Characters of all parts into which the pieces of SentencePiece can be cut. */
  cutCharacters: 2 ** 30,
  /** Characters of a regular expression, and how often a part of it may be said to repeat. */
  patternLength: 2 ** 14,
  repeats: 2 ** 12,
  /** Steps in a row that change or cut text. */
  steps: 100,
} as const;

/** Refuses a count, an id or a length that no tokenizer has. */
export function checkTokenizerLimit(
  limit: keyof typeof TOKENIZER_LIMITS,
  value: number,
  what: string,
): void {
  const most = TOKENIZER_LIMITS[limit];
  if (value <= most) return;
  throw new RangeError(`Cannot use the tokenizer: ${what}, expected at most ${most}`);
}

/** Refuses what is no id of a token. */
export function checkTokenId(id: unknown, token: string): asserts id is number {
  if (Number.isInteger(id) && (id as number) >= 0 && (id as number) < TOKENIZER_LIMITS.ids) return;
  throw new RangeError(
    `Cannot use the tokenizer: its token ${JSON.stringify(token.slice(0, 80))} has id ${
      JSON.stringify(id)
    }, expected a whole number below ${TOKENIZER_LIMITS.ids}`,
  );
}
