import { strict as assert } from "node:assert";
import { Gpu } from "../../kernels/device/gpu.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import { pageWords } from "../../kernels/codes/kv_page.ts";
import { KV_SCHEMES } from "../support/kv_schemes.ts";
import { append } from "../support/kv_append.ts";
import { randomTensor } from "../support/random.ts";

Deno.test("appendKv in pieces makes the pages of one call, in other words it changes no other token", async () => {
  await using gpu = await Gpu.open();
  for (const [scheme, sinks] of KV_SCHEMES.flatMap((one) => [[one, 0], [one, 9]] as const)) {
    const x = randomTensor({ dtype: "f32", shape: [75, 2, 64] }, "pieces");
    const before = Uint32Array.from({ length: 2 * pageWords(scheme, 2, 64) }, (_, i) => i * 77777);
    const shape = [2, before.length / 2];
    using once = gpu.upload(u32(shape, before));
    using twice = gpu.upload(u32(shape, before));
    append(gpu, [x, x], [0, 75], [once, twice], [scheme, scheme], sinks);
    using pieces = gpu.upload(u32(shape, before));
    using others = gpu.upload(u32(shape, before));
    // Odd cuts: each splits two tokens that share words of scales. Not in order, either.
    for (const cut of [[33, 75], [0, 7], [7, 8], [8, 33]] as const) {
      append(gpu, [x, x], cut, [pieces, others], [scheme, scheme], sinks);
    }
    const expected = await gpu.read(once);
    for (const pages of [twice, pieces, others]) {
      assert.deepEqual((await gpu.read(pages)).data, expected.data, JSON.stringify(scheme));
    }
    assert.notDeepEqual(expected.data, before);
  }
});
