import { checkTokenizerLimit } from "../../tokenizer/limits.ts";
import { PieceIndex } from "./piece_index.ts";
import { NORMAL, WRITE } from "./tokenizer_json.ts";

/** What SentencePiece writes for a space. */
export const SPACE = "\u2581";

/**
 * Merges in the order in which SentencePiece joins pieces: by the score of the whole, best first.
 *
 * A piece that can be cut in several ways gives a merge for each, those of older parts first.
 */
export function mergesByScore(
  { tokens, kinds }: { readonly tokens: readonly string[]; readonly kinds: readonly number[] },
  scores: readonly number[],
): [string, string][] {
  const last = new Map(tokens.flatMap((token, id) => kinds[id] === NORMAL ? [[token, id]] : []));
  const cuts = last.keys().reduce((sum, { length }) => sum + length ** 2, 0);
  checkTokenizerLimit("cutCharacters", cuts, `the parts of its pieces have ${cuts} characters`);
  const ids = [...last.values()];
  const index = new PieceIndex(tokens, ids);
  // Scores fall from piece to piece in most vocabularies, so that this is in order.
  ids.sort((a, b) => scores[b]! - scores[a]! || a - b);
  const merges: [string, string][] = [];
  for (let start = 0, end = 0; start < ids.length; start = end) {
    end = start + 1;
    while (end < ids.length && scores[ids[end]!] === scores[ids[start]!]) end++;
    ids.slice(start, end).flatMap((id) => index.cuts(tokens[id]!))
      .sort((a, b) => a.left - b.left || a.right - b.right)
      .forEach(({ left, right }) => merges.push([tokens[left]!, tokens[right]!]));
  }
  return merges;
}

/**
 * Scores of pieces by id from the merges of a `tokenizer.json`: the inverse of `mergesByScore()`.
 *
 * Pieces whose merges lie between each other's have one score, as SentencePiece gives runs of spaces;
 * llama.cpp then joins the leftmost. Throws where no scores give these merges.
 */
export function pieceScores(
  merges: readonly (readonly [string, string])[],
  { tokens, kinds, ids }: {
    readonly tokens: readonly string[];
    readonly kinds: readonly number[];
    readonly ids: ReadonlyMap<string, number>;
  },
): number[] {
  const last = new Map(merges.map(([left, right], rank) => [left + right, rank]));
  // What nothing makes comes behind all that merges make.
  const scores = tokens.map(() => -merges.length - 1);
  for (let start = 0, end = 0; start < merges.length; start = end + 1) {
    const pieces = new Set<string>();
    end = start;
    for (let rank = start; rank <= end; rank++) {
      const piece = merges[rank]!.join("");
      end = Math.max(end, last.get(piece)!);
      pieces.add(piece);
    }
    for (const piece of pieces) scores[ids.get(piece)!] = -start;
    const odd = pieces.size > 1 && [...pieces].find((piece) => new Set(piece).size > 1);
    if (odd) {
      throw new TypeError(
        `${WRITE}: its piece ${
          JSON.stringify(odd)
        } merges before and after others, expected its merges one after another, as SentencePiece has them`,
      );
    }
  }
  const listed = new Set(merges.map((merge) => merge.join(" ")));
  const implied = mergesByScore({ tokens, kinds }, scores);
  const lacking = implied.find((merge) => !listed.has(merge.join(" ")));
  if (!lacking && implied.length === listed.size) return scores;
  throw new TypeError(
    `${WRITE}: its pieces ${
      (lacking ?? []).map((part) => JSON.stringify(part)).join(" and ")
    } do not merge, expected merges for every way to cut a piece, as SentencePiece has them`,
  );
}
