import { strict as assert } from "node:assert";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import { SIMD_KINDS } from "../../kernels/device/cpu/module.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { matmulCodes } from "../../kernels/mod.ts";
import { DEVICES } from "../support/devices.ts";
import { launch } from "../support/launch.ts";
import { words } from "../support/random.ts";

/** Codes 0 to 7. */
const NIBBLES = [0x76543210];
/** Sum of k * (k + 1) and of k + 1 over the 8 values. */
const [STAIRS, COUNT] = [168, 36];

for (const [on, open] of Object.entries(DEVICES)) {
  Deno.test(`the three zero points of codes are as written out by hand on ${on}`, async () => {
    await using device = await open();
    const y = async (word: number, zero: "none" | "pre_scale" | "post_scale") => {
      const inputs = {
        x: f32([1, 8], [1, 2, 3, 4, 5, 6, 7, 8]),
        weight: u32([1, 1], [word]),
        // Scale 0.5 below, zero 3 above.
        groups: u32([1, 1], [0x42003800]),
        y: f32([1, 1]),
      };
      const options = { bits: 4, group: 8, zero } as const;
      return (await launch(device, matmulCodes, { inputs, options, names: ["y"] })).y!.data[0];
    };
    assert.equal(await y(NIBBLES[0]!, "none"), STAIRS / 2);
    assert.equal(await y(0xffffffff, "none"), -COUNT / 2);
    assert.equal(await y(0x00000008, "none"), -4);
    assert.equal(await y(0xffffffff, "pre_scale"), 12 * COUNT / 2);
    assert.equal(await y(NIBBLES[0]!, "pre_scale"), (STAIRS - 3 * COUNT) / 2);
    assert.equal(await y(NIBBLES[0]!, "post_scale"), STAIRS / 2 - 3 * COUNT);
  });
}

for (const simd of SIMD_KINDS) {
  Deno.test(`weights are what codes stand for, rounded once, in one row and in many with ${simd} SIMD`, async () => {
    await using cpu = await Cpu.open({ threads: 1, simd });
    const [inner, group, outputs] = [96, 32, 5];
    const source = words("scales and zeros");
    // Any scales and zeros from 2^-8 to 16, with signs, whose products with codes need more bits than floats have.
    const halves = Float16Array.from({ length: 2 * outputs * inner / group }, () => {
      const word = source.next().value;
      return (word % 2 ? 1 : -1) * (1 + (word >>> 22) / 1024) * 2 ** (word % 13 - 8);
    });
    const groups = u32([outputs, inner / group], new Uint32Array(halves.buffer));
    for (const bits of [4, 8] as const) {
      const codes = new Uint8Array(outputs * inner).map(() => source.next().value >>> 32 - bits);
      const weight = u32([outputs, inner * bits / 32], packed(codes, bits));
      for (const zero of ["none", "pre_scale", "post_scale"] as const) {
        const expected = Float32Array.from(codes, (code, at) => {
          const [scale = 0, z = 0] = halves.subarray(2 * Math.floor(at / group));
          const signed = code >= 2 ** (bits - 1) ? code - 2 ** bits : code;
          // Sums begin with 0, and so none is negative zero.
          if (zero === "none") return 0 + signed * scale;
          return 0 + (zero === "pre_scale" ? (code - z) * scale : code * scale - z);
        });
        const column = (k: number) => expected.filter((_, at) => at % inner === k);
        const times = async (rows: readonly number[]) => {
          const x = f32([rows.length, inner]);
          rows.forEach((k, row) => x.data[row * inner + k] = 1);
          const inputs = { x, weight, groups, y: f32([rows.length, outputs]) };
          const options = { bits, group, zero };
          return (await launch(cpu, matmulCodes, { inputs, options, names: ["y"] })).y!.data;
        };
        const all = Array.from({ length: inner }, (_, k) => k);
        assert.deepEqual(await times(all), Float32Array.from(all.flatMap((k) => [...column(k)])));
        for (const k of all) assert.deepEqual(await times([k]), column(k), `${bits} ${zero} ${k}`);
      }
    }
  });
}

/** Codes in words, the first in the lowest bits. */
function packed(codes: Uint8Array, bits: 4 | 8): Uint32Array {
  if (bits === 8) return new Uint32Array(codes.slice().buffer);
  const bytes = Uint8Array.from(
    { length: codes.length / 2 },
    (_, i) => codes[2 * i]! | codes[2 * i + 1]! << 4,
  );
  return new Uint32Array(bytes.buffer);
}
