import { strict as assert } from "node:assert";
import type { HostTensor, Tensor } from "../../kernels/device/device.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { attentionBatch } from "../../kernels/attention_paged.ts";
import { appendKv, attention, attentionPaged } from "../../kernels/mod.ts";
import { PAGE_TOKENS, pageWords, readSlot, writeSlot } from "../../kernels/codes/kv_page.ts";
import { groupScale, kvCodes, type KvScheme } from "../../kernels/codes/kv_scheme.ts";
import { codeOf, valueOf } from "../../kernels/codes/quantizer.ts";
import { randomTensor } from "../support/random.ts";

const SCHEMES: readonly KvScheme[] = [
  { bits: 4, zero: "post_scale", group: 64 },
  { bits: 4, zero: "pre_scale", group: 32 },
  { bits: 4, zero: "none", group: 16 },
  { bits: 8, zero: "post_scale", group: 64 },
  { bits: 8, zero: "pre_scale", group: 8 },
  { bits: 8, zero: "none", group: 64 },
  { bits: 16, zero: "none", group: 64 },
];

const CLASSES = ["software", "gpu"] as const;

Deno.test("a group gets the scale, zero point and codes of .github/ALGORITHMS.md#scales", () => {
  const values = Float32Array.from([0.1, -0.25, 0.4, 0.05], Math.f16round);
  // From the reference: 0.65 / 15 in f16 and minus the smallest value.
  check(values, "post_scale", { scale: 0.0433349609375, zero: 0.25 }, [8, 0, 15, 7]);
  // By hand: 0.25 / 0.04333 = 5.77 rounds to 6; 0.1 / s + 6 = 8.31, 0.23, 15.23, 7.15.
  check(values, "pre_scale", { scale: 0.0433349609375, zero: 6 }, [8, 0, 15, 7]);
  // 0.4 / 7 = 0.05713 in f16; 1.75, -4.38, 7.0, 0.88.
  check(values, "none", { scale: Math.f16round(0.4 / 7), zero: 0 }, [2, -4, 7, 1]);
  check(new Float32Array(4), "post_scale", { scale: 1, zero: 0 }, [0, 0, 0, 0]);
  check(new Float32Array(4), "none", { scale: 1, zero: 0 }, [0, 0, 0, 0]);
  check(new Float32Array(4).fill(-3.3), "post_scale", {
    scale: 1,
    zero: Math.f16round(3.3),
  }, [0, 0, 0, 0]);
  check(new Float32Array(4).fill(6), "pre_scale", { scale: Math.f16round(0.4), zero: 0 }, [
    15,
    15,
    15,
    15,
  ]);
});

Deno.test("a clip shrinks the measured range, and what lies beyond gets the outermost codes", () => {
  const clip = 0.5;
  const values = Float32Array.of(-4, 11, 1, 0);
  // By hand: -2 to 5.5 in steps of 0.5; -4 lies below code 0 and 11 above code 15.
  check(values, "post_scale", { scale: 0.5, zero: 2 }, [0, 15, 6, 4], clip);
  check(values, "pre_scale", { scale: 0.5, zero: 4 }, [0, 15, 6, 4], clip);
  // The largest magnitude 14 becomes 7, a step of 1.
  check(Float32Array.of(14, -14, 3, -7), "none", { scale: 1, zero: 0 }, [7, -7, 3, -7], clip);
});

Deno.test("halves round to even codes, and none leaves its range", () => {
  const values = Float32Array.of(0.5, 1.5, 2.5, -0.5, -1.5, 7, -7, 90);
  const scheme: KvScheme = { bits: 4, zero: "none", group: 8, range: 7 };
  assert.deepEqual(codes(values, scheme), [0, 2, 2, 0, -2, 7, -7, 7]);
  assert.equal(groupScale(values, { ...scheme, bits: 8, range: 254 }).scale, 2);
});

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
  for (const scheme of SCHEMES) {
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

Deno.test("appendKv in pieces makes the pages of one call, in other words it changes no other token", async () => {
  await using gpu = await Gpu.open();
  for (const scheme of SCHEMES) {
    const x = randomTensor({ dtype: "f32", shape: [75, 2, 64] }, "pieces");
    const before = Uint32Array.from({ length: 2 * pageWords(scheme, 2, 64) }, (_, i) => i * 77777);
    const shape = [2, before.length / 2];
    using once = gpu.upload(u32(shape, before));
    using twice = gpu.upload(u32(shape, before));
    append(gpu, [x, x], [0, 75], [once, twice], [scheme, scheme]);
    using pieces = gpu.upload(u32(shape, before));
    using others = gpu.upload(u32(shape, before));
    // Odd cuts: each splits two tokens that share words of scales. Not in order, either.
    for (const cut of [[33, 75], [0, 7], [7, 8], [8, 33]] as const) {
      append(gpu, [x, x], cut, [pieces, others], [scheme, scheme]);
    }
    const expected = await gpu.read(once);
    for (const pages of [twice, pieces, others]) {
      assert.deepEqual((await gpu.read(pages)).data, expected.data, JSON.stringify(scheme));
    }
    assert.notDeepEqual(expected.data, before);
  }
});

for (const as of CLASSES) {
  Deno.test(`decoding token by token over KV4 agrees with attention over decoded pages, planned for ${as}`, async () => {
    await using gpu = await Gpu.open({ as });
    const [tokens, heads, kvHeads, size] = [70, 4, 2, 64];
    const [key, value] = [SCHEMES[0]!, SCHEMES[1]!];
    const q = randomTensor({ dtype: "f32", shape: [tokens, heads, size] }, "q");
    const k = randomTensor({ dtype: "f32", shape: [tokens, kvHeads, size] }, "k");
    const v = randomTensor({ dtype: "f32", shape: [tokens, kvHeads, size] }, "v");
    using k_pages = gpu.upload(u32([2, pageWords(key, kvHeads, size)]));
    using v_pages = gpu.upload(u32([2, pageWords(value, kvHeads, size)]));
    using block_table = gpu.upload(u32([2], [0, 1]));
    const rows: number[] = [];
    // 60 tokens at once, then one by one across the edge of the page.
    for (const [from, to] of [[0, 60], ...Array.from({ length: 10 }, (_, i) => [60 + i, 61 + i])]) {
      append(gpu, [k, v], [from!, to!], [k_pages, v_pages], [key, value]);
      using part = gpu.upload(cut(q, from!, to!));
      const queries = to! - from!;
      const batch = attentionBatch([{ row: 0, queries, keys: to!, table: 0 }]);
      using spans = gpu.upload(batch.spans);
      using work = gpu.upload(batch.work);
      const { y } = gpu.run(
        attentionPaged,
        { q: part, k: k_pages, v: v_pages, block_table, spans, work },
        { queries, kvHeads, key, value },
      );
      using made = y;
      rows.push(...(await gpu.read(made)).data);
    }
    const decoded = async (pages: Tensor, scheme: KvScheme) => {
      const { data } = await gpu.read(pages);
      const page = { scheme, kvHeads, headSize: size };
      const all = Array.from({ length: tokens }, (_, slot) => [...readSlot(data, slot, page)]);
      return f32([tokens, kvHeads, size], all.flat());
    };
    const expected = attention.reference({
      q,
      k: await decoded(k_pages, key),
      v: await decoded(v_pages, value),
    }, {});
    near(rows, expected.y!.data);
  });

  Deno.test(`pages that the window has left may hold anything, planned for ${as}`, async () => {
    await using gpu = await Gpu.open({ as });
    const [keys, window] = [200, 40];
    const scheme: KvScheme = { bits: 8, zero: "post_scale", group: 32 };
    const page = { scheme, kvHeads: 1, headSize: 32 };
    const words = pageWords(scheme, 1, 32);
    const pool = new Uint32Array(5 * words);
    const k = randomTensor({ dtype: "f32", shape: [keys, 32] }, "window");
    for (let i = 0; i < keys; i++) {
      writeSlot(pool, i, Float32Array.from(cut(k, i, i + 1).data), page);
    }
    // Page 4 was given away and holds NaN; the last query sees keys 160 to 199.
    pool.fill(0xffffffff, 4 * words);
    using pages = gpu.upload(u32([5, words], pool));
    for (const queries of [1, 7]) {
      using q = gpu.upload(randomTensor({ dtype: "f32", shape: [queries, 2, 32] }, "window q"));
      const rows: number[][] = [];
      for (const table of [[0, 1, 2, 3], [4, 4, 2, 3]]) {
        using block_table = gpu.upload(u32([4], table));
        const batch = attentionBatch([{ row: 0, queries, keys, table: 0 }]);
        using spans = gpu.upload(batch.spans);
        using work = gpu.upload(batch.work);
        const options = { queries, kvHeads: 1, key: scheme, value: scheme, window };
        const inputs = { q, k: pages, v: pages, block_table, spans, work };
        using y = gpu.run(attentionPaged, inputs, options).y;
        rows.push([...(await gpu.read(y)).data]);
      }
      assert.deepEqual(rows[1], rows[0]);
      assert.ok(rows[0]!.some((value) => value !== 0));
    }
  });
}

Deno.test("the paged kernels say what does not fit", async () => {
  await using gpu = await Gpu.open();
  const scheme: KvScheme = { bits: 4, zero: "post_scale", group: 64 };
  using x = gpu.upload(f32([2, 1, 64]));
  using slots = gpu.upload(u32([2]));
  using pages = gpu.upload(u32([3, pageWords(scheme, 1, 64)]));
  using values = gpu.upload(u32([3, pageWords(scheme, 1, 64)]));
  const append = (key: KvScheme) =>
    gpu.run(appendKv, { k: x, v: x, slots, keys: pages, values }, { key, value: scheme });
  assert.throws(() => append({ ...scheme, group: 48 }), /heads of 64 in groups of 48: expected/);
  assert.throws(() => append({ ...scheme, bits: 8 }), /u32\[3, 576\]: expected u32\[pages, 1088\]/);
  assert.throws(() => append({ ...scheme, range: 2 }), /range 2 with zero post_scale .* expected/);
  for (const clip of [0, -0.5, 1.01, NaN]) {
    assert.throws(() => append({ ...scheme, clip }), /clip keys or values to .* expected a clip/);
  }
  const fixed: KvScheme = { ...scheme, zero: "none", range: 2, clip: 0.5 };
  assert.throws(() => append(fixed), /to 0.5 .* and range 2: expected .* no range/);
  assert.throws(() => append({ ...scheme, bits: 16, clip: 0.5 }), /at 16 bits: expected/);
  const both = { key: scheme, value: scheme };
  using fewer = gpu.upload(u32([2, pageWords(scheme, 1, 64)]));
  assert.throws(
    () => gpu.run(appendKv, { k: x, v: x, slots, keys: pages, values: fewer }, both),
    /to u32\[3, 576\] and u32\[2, 576\]: expected equally many pages/,
  );
  using short = gpu.upload(f32([1, 1, 64]));
  assert.throws(
    () => gpu.run(appendKv, { k: x, v: short, slots, keys: pages, values }, both),
    /append f32\[2, 1, 64\] and f32\[1, 1, 64\]: expected twice/,
  );
  using block_table = gpu.upload(u32([1]));
  using spans = gpu.upload(u32([1, 4]));
  using work = gpu.upload(u32([1, 2]));
  const attend = (inputs: object, kvHeads = 1) =>
    gpu.run(
      attentionPaged,
      { q: x, k: pages, v: pages, block_table, spans, work, ...inputs },
      { queries: 2, kvHeads, key: scheme, value: scheme },
    );
  assert.throws(() => attend({ spans: work }), /spans u32\[1, 2\] .* expected .*\[sequences, 4\]/);
  assert.throws(
    () => attend({}, 2),
    /from q f32\[2, 1, 64\] to 2 kv heads: .* multiple of 2 heads/,
  );
});

function check(
  values: Float32Array,
  zero: KvScheme["zero"],
  pair: { readonly scale: number; readonly zero: number },
  expected: readonly number[],
  clip = 1,
): void {
  const scheme: KvScheme = { bits: 4, zero, group: 8, clip };
  assert.deepEqual(groupScale(values, scheme), pair);
  assert.deepEqual(codes(values, scheme), expected);
  // A group of one value comes back as the f16 next to it.
  if (values.every((value) => value === values[0]) && zero === "post_scale") {
    assert.equal(valueOf(0, pair.scale, pair.zero, zero), Math.f16round(values[0]!) + 0);
  }
}

function codes(values: Float32Array, scheme: KvScheme): number[] {
  const { scale, zero } = groupScale(values, scheme);
  return Array.from(values, (value) => codeOf(value, scale, zero, kvCodes(scheme)));
}

function append(
  gpu: Gpu,
  [x, y]: readonly [keys: HostTensor, values: HostTensor],
  [from, to]: readonly [number, number],
  [keys, values]: readonly [Tensor, Tensor],
  [key, value]: readonly [KvScheme, KvScheme],
): void {
  using k = gpu.upload(cut(x, from, to));
  using v = gpu.upload(cut(y, from, to));
  using slots = gpu.upload(u32([to - from], Array.from({ length: to - from }, (_, i) => from + i)));
  gpu.run(appendKv, { k, v, slots, keys, values }, { key, value });
}

function cut({ shape: [rows = 0, ...rest], data }: HostTensor, from: number, to: number) {
  const row = data.length / rows;
  return f32([to - from, ...rest], Float32Array.from(data).subarray(from * row, to * row));
}

function near(got: ArrayLike<number>, expected: ArrayLike<number>): void {
  assert.equal(got.length, expected.length);
  let [error, size] = [0, 0];
  for (let i = 0; i < got.length; i++) {
    error += (got[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  assert.ok(error / size <= 1e-6, `error ${error / size} is above 1e-6`);
}
