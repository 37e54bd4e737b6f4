import { strict as assert } from "node:assert";
import {
  heldBits,
  packCodes,
  unpackCodes,
  wordCodes,
} from "../../../kernels/codes/integer_codes.ts";

Deno.test("packed codes come back", () => {
  for (const bits of [2, 3, 4, 8] as const) {
    for (const signed of [true, false]) {
      const most = 2 ** (bits - 1) - 1;
      const [low, high] = signed ? [-most, most] : [0, 2 ** bits - 1];
      const all = Array.from({ length: 64 }, (_, i) => low + i % (high - low + 1));
      const codes = signed ? Int8Array.from(all) : Uint8Array.from(all);
      const words = packCodes(codes, bits);
      assert.equal(words.length, 64 / wordCodes(bits));
      assert.equal(heldBits(bits) * wordCodes(bits), 32);
      assert.deepEqual(unpackCodes(words, { bits, signed }), codes);
    }
  }
});

Deno.test("the first code lies lowest, signed ones in two's complement", () => {
  const codes = Int8Array.of(1, -1, 7, -7, 0, 2, -3, 5);
  assert.deepEqual([...packCodes(codes, 4)], [0x5d20_97f1]);
  assert.deepEqual([...packCodes(codes, 8)], [0xf907_ff01, 0x05fd_0200]);
  assert.deepEqual([...packCodes(codes.subarray(4), 8)], [0x05fd_0200]);
});
