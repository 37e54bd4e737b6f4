import { z } from "zod";
import { type Component, settings } from "./component.ts";
import type { TokenModel } from "./model.ts";
import { readVocabulary } from "./vocabulary.ts";

function unknownOf(vocabulary: ReadonlyMap<string, number>, token: string): () => number {
  return () => {
    const id = vocabulary.get(token);
    if (id !== undefined) return id;
    throw new TypeError(
      `Cannot make tokens: the vocabulary lacks the unknown token ${
        JSON.stringify(token)
      } that a text needs`,
    );
  };
}

/** Whole stretches as tokens. */
export function makeWordLevel(component: Component): TokenModel {
  const { unk_token: token } = settings(component, z.object({ unk_token: z.string() }));
  const vocabulary = readVocabulary(component.vocab);
  const unknown = unknownOf(vocabulary, token);
  return { vocabulary, encode: (text) => [vocabulary.get(text) ?? unknown()] };
}

/** The longest token first, then the longest that goes on with a word; else the unknown token. */
export function makeWordPiece(component: Component): TokenModel {
  const { unk_token: token, continuing_subword_prefix: prefix, max_input_chars_per_word: most } =
    settings(
      component,
      z.object({
        unk_token: z.string(),
        continuing_subword_prefix: z.string(),
        max_input_chars_per_word: z.int().nonnegative(),
      }),
    );
  const vocabulary = readVocabulary(component.vocab);
  const unknown = unknownOf(vocabulary, token);
  return {
    vocabulary,
    encode(text) {
      const characters = Array.from(text);
      if (characters.length > most) return [unknown()];
      const ids: number[] = [];
      for (let at = 0; at < characters.length;) {
        let end = characters.length;
        let id: number | undefined;
        for (; end > at; end--) {
          const part = characters.slice(at, end).join("");
          id = vocabulary.get(at === 0 ? part : prefix + part);
          if (id !== undefined) break;
        }
        if (id === undefined) return [unknown()];
        ids.push(id);
        at = end;
      }
      return ids;
    },
  };
}
