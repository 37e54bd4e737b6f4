import { strict as assert } from "node:assert";
import { checkChoices } from "../support/choice_check.ts";

Deno.test("plans that a device may choose between make the same bits", async () => {
  const counted = await checkChoices({ subgroups: true, slices: false });
  assert.ok(counted["matmulInt8 subgroup"]! >= 10, JSON.stringify(counted));
  assert.ok(counted["matmulCodes subgroup"]! >= 4, JSON.stringify(counted));
  assert.ok(counted["attentionPaged split"]! >= 2, JSON.stringify(counted));
  for (const integerTile of [32, 128] as const) {
    const tiles = await checkChoices({ integerTile });
    assert.deepEqual(Object.keys(tiles), ["matmulInt8 tiles"]);
    assert.ok(tiles["matmulInt8 tiles"]! >= 2, JSON.stringify(tiles));
  }
});
