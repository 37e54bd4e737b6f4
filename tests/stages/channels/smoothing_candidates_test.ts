import { strict as assert } from "node:assert";
import {
  exponentCandidates,
  type ExponentFamily,
  exponentFamily,
  familyOf,
  manualExponents,
} from "../../../stages/channels/smoothing.ts";

/** The table of .github/ALGORITHMS.md#candidates: rows alpha > 0, 0, -1, -2, -3; columns beta likewise. */
const TABLE: readonly (readonly string[])[] = [
  ["AA", "A0", "AC", "A0 AC", "A0 AB"],
  ["0B", "A0 0B", "0B AC", "A0 0B AC", "A0 0B AB"],
  ["AC", "A0 AC", "AC", "A0 AC", "A0 AB"],
  ["0B AC", "A0 0B AC", "0B AC", "A0 0B AC", "A0 0B AB"],
  ["0B AB", "0B A0 AB", "0B A0 AB", "0B A0 AB", "0B A0 AB"],
];
const MEANT = [0.3, 0, -1, -2, -3];
/** The blocks of four steps, written out. */
const BLOCKS: Readonly<Record<string, readonly (readonly [alpha: number, beta: number])[]>> = {
  A0: [[0.25, 0], [0.5, 0], [0.75, 0]],
  "0B": [[0, 0.25], [0, 0.5], [0, 0.75]],
  AA: [[0.25, 0.25], [0.5, 0.5], [0.75, 0.75]],
  AC: [[0.25, 0.75], [0.5, 0.5], [0.75, 0.25]],
  AB: [
    [0.25, 0.25],
    [0.25, 0.5],
    [0.25, 0.75],
    [0.5, 0.25],
    [0.5, 0.5],
    [0.5, 0.75],
    [0.75, 0.25],
    [0.75, 0.5],
    [0.75, 0.75],
  ],
};

Deno.test("alpha and beta name the candidates of DeepCompressor's table, in its order", () => {
  const seen = new Map<string, ExponentFamily>();
  for (const [row, alpha] of MEANT.entries()) {
    for (const [column, beta] of MEANT.entries()) {
      const cell = TABLE[row]![column]!;
      const expected = [[0, 0], ...cell.split(" ").flatMap((block) => BLOCKS[block]!)];
      const family = familyOf({ alpha, beta });
      const got = exponentCandidates(family, 4).map((pair) => [pair.alpha, pair.beta]);
      assert.deepEqual(got, expected, `alpha ${alpha}, beta ${beta}`);
      assert.equal(seen.get(cell) ?? family, family);
      seen.set(cell, family);
    }
  }
  // A name for every distinct meaning, and no more.
  assert.deepEqual([...seen.values()].sort(), [...exponentFamily.options].sort());
  assert.equal(familyOf({ alpha: 0.5, beta: -0.5 }), familyOf({ alpha: 0.5, beta: -3 }));
  assert.throws(() => familyOf({ alpha: -0.5, beta: 0 }), /alpha -0.5: expected 0 to 1, -1/);
});

Deno.test("grids of 20 have 20, 39 and 400 candidates", () => {
  const counts = [[0.5, 0], [0.5, -2], [-3, -3]].map(([alpha, beta]) =>
    exponentCandidates(familyOf({ alpha: alpha!, beta: beta! }), 20).length
  );
  assert.deepEqual(counts, [20, 39, 400]);
});

Deno.test("a negative exponent complements the other where nothing is searched", () => {
  const meant = (alpha: number, beta: number) => manualExponents({ alpha, beta });
  assert.deepEqual(meant(0.7, -2), { alpha: 0.7, beta: 0.30000000000000004 });
  assert.deepEqual(meant(-1, 0.25), { alpha: 0.75, beta: 0.25 });
  assert.deepEqual(meant(0.1, 0.9), { alpha: 0.1, beta: 0.9 });
  assert.deepEqual(meant(0, -1), { alpha: 0, beta: 1 });
  assert.throws(() => meant(0, 0), /expected one of them above 0/);
  assert.throws(() => meant(-1, -1), /at most one negative/);
});
