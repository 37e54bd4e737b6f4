import { strict as assert } from "node:assert";
import {
  leadOf,
  PAGE_TOKENS,
  pagesFor,
  pageWords,
  readSlot,
  slotOf,
  tokensIn,
  writeSlot,
} from "../../../kernels/codes/kv_page.ts";
import { groupScale, type KvScheme } from "../../../kernels/codes/kv_scheme.ts";
import { KV_SCHEMES } from "../../support/kv_schemes.ts";
import { randomTensor } from "../../support/random.ts";

Deno.test("a token of 4-bit codes lies in its page as .github/ALGORITHMS.md#kv-pages draws it", () => {
  const scheme: KvScheme = { bits: 4, zero: "post_scale", group: 16 };
  const words = pageWords(scheme, 2, 16);
  const pool = new Uint32Array(2 * words);
  // Head 0: codes 0 to 15 of scale 1 and zero point -2; head 1: 15 down to 0 of scale 0.5, zero 0.
  const values = Float32Array.from({ length: 32 }, (_, i) => i < 16 ? i + 2 : (31 - i) / 2);
  writeSlot(pool, PAGE_TOKENS + 5, values, { scheme, kvHeads: 2, headSize: 16 });
  const expected = new Uint32Array(2 * words);
  expected.set([0x76543210, 0xfedcba98], words + 5 * 2);
  expected.set([0x89abcdef, 0x01234567], words + (64 + 5) * 2);
  const scales = words + 2 * 64 * 2;
  // Token 5 is the upper half of word 2; f16 1 is 0x3c00, 0.5 is 0x3800, -2 is 0xc000.
  expected[scales + 2] = 0x3c000000;
  expected[scales + 32 + 2] = 0x38000000;
  expected[scales + 64 + 2] = 0xc0000000;
  assert.deepEqual(pool, expected);
});

Deno.test("signed codes are two's complement; a fixed range leaves no scales", () => {
  const scheme: KvScheme = { bits: 8, zero: "none", group: 16, range: 127 };
  const pool = new Uint32Array(pageWords(scheme, 1, 16));
  assert.equal(pool.length, 64 * 16 / 4);
  const values = Float32Array.from({ length: 16 }, (_, i) => i - 2);
  writeSlot(pool, 1, values, { scheme, kvHeads: 1, headSize: 16 });
  assert.deepEqual([...pool.subarray(4, 6)], [0x0100fffe, 0x05040302]);
});

Deno.test("pages take the bytes of .github/ALGORITHMS.md#kv-pages", () => {
  // KiB a token over the 32 layers and 32 heads of 128 of Llama-2-7B, keys and values.
  const kib = (scheme: KvScheme) => 2 * 32 * 4 * pageWords(scheme, 32, 128) / PAGE_TOKENS / 1024;
  assert.equal(kib({ bits: 16, zero: "none", group: 128 }), 512);
  assert.equal(kib({ bits: 8, zero: "post_scale", group: 128 }), 264);
  assert.equal(kib({ bits: 4, zero: "post_scale", group: 128 }), 136);
});

Deno.test("what comes back from a page is within half a scale", () => {
  for (const scheme of KV_SCHEMES) {
    const page = { scheme, kvHeads: 2, headSize: 64 };
    const values = Float32Array.from(randomTensor({ dtype: "f32", shape: [128] }, "page").data);
    const pool = new Uint32Array(pageWords(scheme, 2, 64));
    writeSlot(pool, 63, values, page);
    readSlot(pool, 63, page).forEach((value, i) => {
      const first = i - i % scheme.group;
      const { scale, zero } = groupScale(values.subarray(first, first + scheme.group), scheme);
      // A scale or zero point rounded to f16 may cut the end of the range by high * scale / 2048.
      const slack = (2 ** scheme.bits * scale + Math.abs(zero)) / 2048;
      const bound = scheme.bits === 16 ? Math.abs(values[i]!) / 2048 : scale / 2 + slack;
      assert.ok(Math.abs(value - values[i]!) <= bound, `${JSON.stringify(scheme)} [${i}]`);
    });
  }
});

Deno.test("sinks lie in the first page of a sequence as .github/ALGORITHMS.md#sinks draws it", () => {
  const [pages, sinks] = [[1, 0], 2];
  const slots = [0, 1, 2, 57, 58].map((token) => slotOf(pages, token, sinks));
  assert.deepEqual(slots, [2 ** 31 + 64, 2 ** 31 + 68, 72, 127, 0]);
  assert.equal(leadOf(sinks), 6);
  assert.deepEqual([58, 59].map((tokens) => pagesFor(tokens, sinks)), [1, 2]);
  assert.deepEqual([0, 1, 2].map((pages) => tokensIn(pages, sinks)), [0, 58, 122]);
  for (const [bits, rowWords] of [[4, 2], [8, 4]] as const) {
    const page = {
      scheme: { bits, zero: "post_scale", group: 12 },
      kvHeads: 2,
      headSize: 12,
    } as const;
    const words = pageWords(page.scheme, 2, 12);
    const pool = new Uint32Array(2 * words);
    const values = Float32Array.from({ length: 24 }, (_, i) => i < 12 ? i : 1e6);
    writeSlot(pool, slots[1]!, values, page);
    const expected = new Uint32Array(2 * words);
    // Of each head the row of place 4; f16 has 0x0000 0x3c00 0x4000 0x4200 ... for 0 1 2 3, at most 65504.
    expected.set(
      [0x3c000000, 0x42004000, 0x45004400, 0x47004600, 0x48804800, 0x49804900],
      words + 4 * rowWords,
    );
    expected.set(Array(6).fill(0x7bff7bff), words + (64 + 4) * rowWords);
    assert.deepEqual(pool, expected);
    assert.deepEqual(readSlot(pool, slots[1]!, page), values.map((x) => Math.min(x, 65504)));
  }
});

Deno.test("codes make up for those before them as in .github/ALGORITHMS.md#compensated-keys", () => {
  const scheme: KvScheme = { bits: 8, zero: "none", group: 4, range: 127 };
  const page = { scheme, kvHeads: 2, headSize: 4 };
  const compensation = Float32Array.from(
    { length: 32 },
    (_, at) => at % 4 > Math.floor(at / 4) % 4 ? 0.5 : 0,
  );
  const pool = new Uint32Array(pageWords(scheme, 2, 4));
  const keys = Float32Array.of(3, 1, -2, 2.5, 0.4, 0.3, 0.2, 0.1);
  writeSlot(pool, 7, keys, { ...page, compensation });
  assert.deepEqual(readSlot(pool, 7, page), Float32Array.of(3, 1, -2, 2, 0, 0, 1, 0));
  writeSlot(pool, 7, keys, page);
  assert.deepEqual(readSlot(pool, 7, page), Float32Array.of(3, 1, -2, 2, 0, 0, 0, 0));
});
