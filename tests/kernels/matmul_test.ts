import { strict as assert } from "node:assert";
import { f32 } from "../../kernels/device/tensor.ts";
import { matmul } from "../../kernels/mod.ts";
import { DEVICES } from "../support/devices.ts";
import { launch } from "../support/launch.ts";

const INNER = 32;
const [INFINITE, MINUS_INFINITE, NAN, SUBNORMAL, LARGEST] = [
  0x7c00,
  0xfc00,
  0x7e01,
  0x0001,
  0x7bff,
];

Deno.test("a row and several give infinities, no numbers and subnormal ones of half precision as they are", async () => {
  // A row of the weight each: ones, with one odd value among them.
  const odd = [0x3c00, INFINITE, MINUS_INFINITE, NAN, SUBNORMAL, LARGEST, 0x3c00];
  const data = Uint16Array.from(
    { length: odd.length * INNER },
    (_, i) => i % INNER === 21 ? odd[Math.floor(i / INNER)]! : 0x3c00,
  );
  const weight = {
    dtype: "f16",
    shape: [odd.length, INNER],
    data: new Float16Array(data.buffer),
  } as const;
  const expected = [32, Infinity, -Infinity, NaN, 31 + 2 ** -24, 31 + 65504, 32].map(Math.fround);
  for (const [on, open] of Object.entries(DEVICES)) {
    // Graphics processors may take infinities for anything.
    if (on === "a GPU") continue;
    await using device = await open();
    for (const rows of [1, 2, 5]) {
      const x = f32([rows, INNER], Array(rows * INNER).fill(1));
      const y = f32([rows, odd.length]);
      const { y: made } = await launch(device, matmul, {
        inputs: { x, weight, y },
        names: ["y"],
      });
      const all = Array.from({ length: rows }, () => expected).flat();
      assert.deepEqual([...made!.data], all, `${rows} rows on ${on}`);
    }
  }
});
