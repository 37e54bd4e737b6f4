import { shareVocabulary, type Vocabulary } from "../../engine/grammar.ts";
import type { ServedTokenizer } from "../served_tokenizer.ts";

/** What grammars of a model's answers are matched with: tokens that are no text have no bytes. */
export function vocabularyOf(tokenizer: ServedTokenizer): Vocabulary {
  const { usable, ends } = tokenizer;
  return shareVocabulary(
    usable,
    ends.filter((token) => token < usable),
    (token) => tokenizer.special(token) ? new Uint8Array() : tokenizer.bytes(token),
  );
}
