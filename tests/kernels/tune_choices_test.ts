import { strict as assert } from "node:assert";
import { checkChoices } from "../support/choice_check.ts";

/** Kernels whose workgroups know things together of a row. */
const ROWS = [
  "gluQuantize",
  "normQuantize",
  "quantizeRows",
  "rmsNorm",
  "routeTokens",
  "sample",
  "topScores",
];

Deno.test("plans that a device may choose between make the same bits", async () => {
  const counted = await checkChoices({ subgroups: true, slices: false });
  assert.ok(counted["matmulInt8 subgroup"]! >= 4, JSON.stringify(counted));
  assert.ok(counted["matmulInt8 quads_subgroup"]! >= 10, JSON.stringify(counted));
  assert.ok(counted["matmulCodes subgroup"]! >= 4, JSON.stringify(counted));
  assert.ok(counted["attentionPaged split"]! >= 2, JSON.stringify(counted));
  const rows = await checkChoices({ rowSubgroups: true });
  assert.deepEqual(Object.keys(rows).sort(), ROWS.map((name) => `${name} subgroup`));
  assert.ok(Object.values(rows).every((count) => count >= 2), JSON.stringify(rows));
  for (const slices of [false, true]) {
    const keys = await checkChoices({ keySubgroups: true, slices }, { usual: { slices } });
    assert.ok(keys["attentionPaged split_subgroup"]! >= 8, JSON.stringify(keys));
    assert.ok(keys["attentionTurned split_subgroup"]! >= 2, JSON.stringify(keys));
    assert.equal((keys["attentionPaged slices_subgroup"] ?? 0) >= 2, slices, JSON.stringify(keys));
  }
  for (const integerTile of [32, 128] as const) {
    const tiles = await checkChoices({ integerTile });
    assert.deepEqual(Object.keys(tiles), ["matmulInt8 quads"]);
    assert.ok(tiles["matmulInt8 quads"]! >= 2, JSON.stringify(tiles));
  }
});
