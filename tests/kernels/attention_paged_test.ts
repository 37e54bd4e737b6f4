import { strict as assert } from "node:assert";
import type { HostTensor, Tensor } from "../../kernels/device/device.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { attentionBatch } from "../../kernels/attention_paged.ts";
import { appendKv, attention, attentionPaged } from "../../kernels/mod.ts";
import { leadOf, pageWords, readSlot, slotOf, writeSlot } from "../../kernels/codes/kv_page.ts";
import type { KvScheme } from "../../kernels/codes/kv_scheme.ts";
import { KV_SCHEMES } from "../support/kv_schemes.ts";
import { append, cut } from "../support/kv_append.ts";
import { randomTensor } from "../support/random.ts";
import { ENGINES } from "../support/devices.ts";

const WITH_SINKS = Object.entries(ENGINES).flatMap(([on, open]) =>
  [0, 4].map((sinks) => ({ on, open, sinks }))
);

for (const { on, open, sinks } of WITH_SINKS) {
  Deno.test(`decoding token by token over KV4 with ${sinks} sinks agrees with attention over decoded pages on ${on}`, async () => {
    await using gpu = await open();
    const [tokens, heads, kvHeads, size] = [70, 4, 2, 64];
    const [key, value] = [KV_SCHEMES[0]!, KV_SCHEMES[1]!];
    const q = randomTensor({ dtype: "f32", shape: [tokens, heads, size] }, "q");
    const k = randomTensor({ dtype: "f32", shape: [tokens, kvHeads, size] }, "k");
    const v = randomTensor({ dtype: "f32", shape: [tokens, kvHeads, size] }, "v");
    using k_pages = gpu.upload(u32([2, pageWords(key, kvHeads, size)]));
    using v_pages = gpu.upload(u32([2, pageWords(value, kvHeads, size)]));
    using block_table = gpu.upload(u32([2], [0, 1]));
    const rows: number[] = [];
    // 60 tokens at once, then one by one across the edge of the page.
    for (const [from, to] of [[0, 60], ...Array.from({ length: 10 }, (_, i) => [60 + i, 61 + i])]) {
      append(gpu, [k, v], [from!, to!], [k_pages, v_pages], [key, value], sinks);
      using part = gpu.upload(cut(q, from!, to!));
      const queries = to! - from!;
      const keys = to! + leadOf(sinks);
      const batch = attentionBatch([{ row: 0, queries, keys, table: 0 }]);
      using spans = gpu.upload(batch.spans);
      using work = gpu.upload(batch.work);
      const { y } = gpu.run(
        attentionPaged,
        { q: part, k: k_pages, v: v_pages, block_table, spans, work },
        { queries, kvHeads, key, value, sinks },
      );
      using made = y;
      rows.push(...(await gpu.read(made)).data);
    }
    const decoded = async (pages: Tensor, scheme: KvScheme) => {
      const { data } = await gpu.read(pages);
      const page = { scheme, kvHeads, headSize: size };
      const all = Array.from(
        { length: tokens },
        (_, token) => [...readSlot(data, slotOf([0, 1], token, sinks), page)],
      );
      return f32([tokens, kvHeads, size], all.flat());
    };
    const expected = attention.reference({
      q,
      k: await decoded(k_pages, key),
      v: await decoded(v_pages, value),
    }, {});
    near(rows, expected.y!.data);
  });
}

for (const [on, open] of Object.entries(ENGINES)) {
  Deno.test(`where all tokens are sinks, attention is that over keys and values of half precision on ${on}`, async () => {
    await using gpu = await open();
    const [tokens, heads, kvHeads, size] = [16, 4, 2, 64];
    const random = (heads: number, seed: string) =>
      randomTensor({ dtype: "f32", shape: [tokens, heads, size] }, seed);
    const [q, k, v] = [random(heads, "q"), random(kvHeads, "k"), random(kvHeads, "v")];
    const scheme: KvScheme = { bits: 4, zero: "pre_scale", group: 32 };
    const shape = [2, pageWords(scheme, kvHeads, size)];
    // What no sink lies in is NaN.
    const full = u32(shape, new Uint32Array(shape[0]! * shape[1]!).fill(0xffffffff));
    using keys = gpu.upload(full);
    using values = gpu.upload(full);
    append(gpu, [k, v], [0, tokens], [keys, values], [scheme, scheme], tokens);
    using given = gpu.upload(q);
    using block_table = gpu.upload(u32([1], [0]));
    const span = { row: 0, queries: tokens, keys: tokens + leadOf(tokens), table: 0 };
    const batch = attentionBatch([span]);
    using spans = gpu.upload(batch.spans);
    using work = gpu.upload(batch.work);
    const options = { queries: tokens, kvHeads, key: scheme, value: scheme, sinks: tokens };
    const inputs = { q: given, k: keys, v: values, block_table, spans, work };
    using y = gpu.run(attentionPaged, inputs, options).y;
    const halves = ({ shape, data }: HostTensor) =>
      f32(shape, Float32Array.from(data, (x) => Math.f16round(x)));
    const expected = attention.reference({ q, k: halves(k), v: halves(v) }, {}).y.data;
    near((await gpu.read(y)).data, expected);
    assert.throws(
      () => gpu.run(attentionPaged, inputs, { ...options, sinks: 17 }),
      /keep the first 17 tokens .* in half precision: expected 0 to 16/,
    );
  });

  Deno.test(`pages that the window has left may hold anything on ${on}`, async () => {
    await using gpu = await open();
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

function near(got: ArrayLike<number>, expected: ArrayLike<number>): void {
  assert.equal(got.length, expected.length);
  let [error, size] = [0, 0];
  for (let i = 0; i < got.length; i++) {
    error += (got[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  assert.ok(error / size <= 1e-6, `error ${error / size} is above 1e-6`);
}
