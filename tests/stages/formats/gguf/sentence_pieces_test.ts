import { strict as assert } from "node:assert";
import { mergesByScore } from "../../../../stages/formats/gguf/sentence_pieces.ts";
import { NORMAL } from "../../../../stages/formats/gguf/tokenizer_json.ts";
import { words } from "../../../support/random.ts";

const CONTROL = 3;

/** Merges by their definition: every way to cut every piece, looked up. */
function everyCut(
  tokens: readonly string[],
  kinds: readonly number[],
  scores: readonly number[],
): string[][] {
  const ids = new Map(tokens.flatMap((token, id) => kinds[id] === NORMAL ? [[token, id]] : []));
  const found = [...ids].flatMap(([token, id]) => {
    const characters = [...token];
    return characters.slice(1).flatMap((_, at) => {
      const [left, right] = [characters.slice(0, at + 1), characters.slice(at + 1)]
        .map((part) => part.join("")) as [string, string];
      const [a, b] = [ids.get(left), ids.get(right)];
      return a === undefined || b === undefined ? [] : [{ left, right, a, b, score: scores[id]! }];
    });
  });
  found.sort((x, y) => y.score - x.score || x.a - y.a || x.b - y.b);
  return found.map(({ left, right }) => [left, right]);
}

for (const alphabet of ["ab", "a▁", "😀😁a", "\ud83d\ude00x"]) {
  Deno.test(`pieces of ${JSON.stringify(alphabet)} merge by scores in every way they can be cut`, () => {
    const source = words(alphabet);
    const drawn = (most: number) => source.next().value % most;
    const letters = alphabet === "\ud83d\ude00x" ? alphabet.split("") : [...alphabet];
    const tokens = Array.from(
      { length: 300 },
      () => Array.from({ length: 1 + drawn(6) }, () => letters[drawn(letters.length)]).join(""),
    );
    const kinds = tokens.map(() => drawn(10) === 0 ? CONTROL : NORMAL);
    // Few scores, so that many pieces have the same.
    for (const most of [4, 1000]) {
      const scores = tokens.map(() => -drawn(most));
      const expected = everyCut(tokens, kinds, scores);
      assert.ok(expected.length > 50, `${expected.length} merges`);
      assert.deepEqual(mergesByScore({ tokens, kinds }, scores), expected);
    }
  });
}
