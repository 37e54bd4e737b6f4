import { strict as assert } from "node:assert";
import { refuseBeyond } from "../../../stages/models/positions.ts";
import { readRopes } from "../../../stages/models/rope_config.ts";

function made(rope_scaling: Record<string, unknown> = {}) {
  const json = { max_position_embeddings: 100, num_hidden_layers: 1, rope_scaling };
  return { positions: 100, ...readRopes(json, { headSize: 16 }) };
}

Deno.test("windows beyond what a model was made for are refused with the numbers, unless asked for", () => {
  refuseBeyond(made(), { context: 100 });
  assert.throws(
    () => refuseBeyond(made(), { context: 101 }),
    /^RangeError: Cannot take windows of 101 tokens: the model was made for 100, expected at most that; lower context, or set beyond_positions: true$/,
  );
  refuseBeyond(made(), { context: 101, beyond_positions: true });
});

Deno.test("scaling by the length of a sequence is made for lengths up to its factor", () => {
  const dynamic = made({ type: "dynamic", factor: 2 });
  refuseBeyond(dynamic, { context: 200 });
  assert.throws(
    () => refuseBeyond(dynamic, { context: 201 }),
    /the model was made for 200, expected/,
  );
});
