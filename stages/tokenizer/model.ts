/** What makes token ids of a stretch of text, as a `tokenizer.json` names it. */
export interface TokenModel {
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Ids of a stretch that is not empty. */
  encode(text: string): readonly number[];
}
