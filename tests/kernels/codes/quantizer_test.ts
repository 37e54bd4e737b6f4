import { strict as assert } from "node:assert";
import {
  codeOf,
  half,
  roundEven,
  scaleAndZero,
  scaleOf,
  valueOf,
} from "../../../kernels/codes/quantizer.ts";
import { protectiveRange } from "../../../stages/quant/row_scale.ts";
import { codedValues } from "../../../stages/quant/coded_weight.ts";
import { largestGroup, weightScheme } from "../../../stages/quant/schemes.ts";
import {
  checkGroup,
  gridFor,
  gridOf,
  measureGroups,
  roundToNearest,
} from "../../../stages/quant/weight_grid.ts";
import { normals } from "../../support/random.ts";

/** DeepCompressor's own results for this weight (.github/ALGORITHMS.md#scales), groups of 4. */
const W = {
  rows: 2,
  columns: 8,
  values: Float32Array.from(
    [0.1, -0.25, 0.4, 0.05, -0.6, 0.3, 0.22, -0.01, 1, 0.5, 0.75, 0.25, -0.125, 0, 2, -3],
    Math.f16round,
  ),
};
const GOLDEN = [
  {
    scheme: { zero: "post_scale", group: 4 },
    scales: [0.0433349609375, 0.05999755859375, 0.04998779296875, 0.333251953125],
    zeros: [0.25, 0.60009765625, -0.25, 3],
    codes: [8, 0, 15, 7, 0, 15, 14, 10, 15, 5, 10, 0, 9, 9, 15, 0],
  },
  {
    scheme: { zero: "pre_scale", group: 4 },
    scales: [0.0433349609375, 0.05999755859375, 0.066650390625, 0.333251953125],
    zeros: [6, 10, 0, 9],
    codes: [8, 0, 15, 7, 0, 15, 14, 10, 15, 8, 11, 4, 9, 9, 15, 0],
  },
  {
    scheme: { bits: 8, zero: "none", group: "row" },
    scales: [0.004726409912109375, 0.02362060546875],
    zeros: [0, 0],
    codes: [21, -53, 85, 11, -127, 63, 47, -2, 42, 21, 32, 11, -5, 0, 85, -127],
  },
  {
    scheme: { zero: "post_scale", group: 4, levels: 2 },
    rowScales: [0.005001068115234375, 0.024993896484375],
    scales: [9, 12, 2, 13],
    zeros: [50, 120, -10, 120],
    codes: [8, 0, 14, 7, 0, 15, 14, 10, 15, 5, 10, 0, 9, 9, 15, 0],
  },
  {
    scheme: { zero: "pre_scale", group: 4, levels: 2 },
    rowScales: [0.00504302978515625, 0.02520751953125],
    scales: [9, 12, 3, 13],
    zeros: [6, 10, 0, 9],
    codes: [8, 0, 15, 7, 0, 15, 14, 10, 13, 7, 10, 3, 9, 9, 15, 0],
  },
];

for (const { scheme: given, ...expected } of GOLDEN) {
  const scheme = weightScheme.parse(given);
  Deno.test(`weights are quantized as by DeepCompressor: ${JSON.stringify(given)}`, () => {
    const { domain, grid } = gridOf(W, scheme);
    assert.deepEqual([...grid.scales], expected.scales);
    assert.deepEqual([...grid.zeros], expected.zeros);
    assert.deepEqual(grid.rowScales && [...grid.rowScales], expected.rowScales);
    assert.deepEqual([...roundToNearest(domain, grid).codes], expected.codes);
  });
}

Deno.test("signed 4-bit codes with post-scale zeros are those of DeepCompressor", () => {
  const codes = { low: -8, high: 7, zero: "post_scale", scale: "f16" } as const;
  const zeros = [-0.0966796875, 0.1201171875, -0.64990234375, 0.333984375];
  const expected = [0, -8, 7, -1, -8, 7, 6, 2, 7, -3, 2, -8, 1, 1, 7, -8];
  zeros.forEach((wanted, group) => {
    const values = W.values.subarray(4 * group, 4 * group + 4);
    const found = scaleAndZero({ min: Math.min(...values), max: Math.max(...values) }, codes);
    assert.equal(found.zero, wanted);
    const got = [...values].map((x) => codeOf(x, found.scale, found.zero, codes));
    assert.deepEqual(got, expected.slice(4 * group, 4 * group + 4));
  });
});

Deno.test("codedValues() gives the two-level weights of DeepCompressor", () => {
  const { domain, grid } = gridOf(W, weightScheme.parse({ group: 4, levels: 2 }));
  const values = codedValues(roundToNearest(domain, grid)).slice(0, 8);
  assert.deepEqual([...values].map(Math.f16round), [
    0.11004638671875,
    -0.25,
    0.380126953125,
    0.06500244140625,
    -0.60009765625,
    0.300048828125,
    0.239990234375,
    0,
  ]);
});

Deno.test("edge cases: all zero, constant, and positive groups", () => {
  const group = (values: readonly number[], given: object) => {
    const weight = { rows: 1, columns: values.length, values: Float32Array.from(values) };
    const { domain, grid } = gridOf(weight, weightScheme.parse({ group: "row", ...given }));
    const coded = roundToNearest(domain, grid);
    const { codes } = coded;
    return { scale: grid.scales[0], zero: grid.zeros[0], codes, back: codedValues(coded) };
  };
  const zero = group([0, 0, 0, 0], {});
  assert.deepEqual([zero.scale, zero.zero, ...zero.codes], [1, 0, 0, 0, 0, 0]);
  const constant = group([0.3, 0.3], {});
  assert.deepEqual([constant.scale, ...constant.codes], [1, 0, 0]);
  assert.deepEqual([...constant.back], [Math.f16round(0.3), Math.f16round(0.3)]);
  const pre = group([0.3, 0.3], { zero: "pre_scale" });
  assert.equal(pre.scale, Math.f16round(Math.fround(0.3) / 15));
  const tiny = group([3e-6, -3e-6], { bits: 8, zero: "none" });
  assert.deepEqual([tiny.scale, ...tiny.codes], [1, 0, 0]);
});

Deno.test("protectiveRange() is the reference's constant for every inner code", () => {
  const found = [4, 3, 2].flatMap((bits) =>
    (["pre_scale", "post_scale"] as const).map((zero) => protectiveRange({ bits, zero }))
  );
  assert.deepEqual(found, [119, 120, 111, 124, 95, 126]);
});

Deno.test("two-level weights never leave int8, and their products never leave a byte", () => {
  const source = normals("two levels");
  for (const zero of ["pre_scale", "post_scale"] as const) {
    const values = Float32Array.from({ length: 64 * 64 }, () => source.next().value ** 3);
    const weight = { rows: 64, columns: 64, values };
    const { domain, grid } = gridOf(weight, weightScheme.parse({ group: 16, levels: 2, zero }));
    const { codes } = roundToNearest(domain, grid);
    // The kernels' bytes would wrap.
    const inner = Array.from(codes, (q, i) => {
      const at = Math.floor(i / 16);
      return valueOf(q, grid.scales[at]!, grid.zeros[at]!, zero);
    });
    assert.ok(inner.every((w) => Number.isInteger(w) && -128 <= w && w <= 127));
    codes.forEach((q, i) => assert.ok(q * grid.scales[Math.floor(i / 16)]! <= 255));
  }
});

Deno.test("signed codes of two levels fill int8, and their group scales are halves", () => {
  const source = normals("signed levels");
  for (const bits of [2, 3, 4] as const) {
    const values = Float32Array.from({ length: 64 * 64 }, () => source.next().value ** 3 / 100);
    const weight = { rows: 64, columns: 64, values };
    const scheme = weightScheme.parse({ bits, group: 16, levels: 2, zero: "none" });
    const { domain } = gridOf(weight, scheme);
    // A ratio above 1 widens the ranges, which must not lead out of int8 either.
    for (const ratio of [0.5, 1, 3]) {
      const grid = gridFor(domain, scheme, measureGroups(domain, scheme), ratio);
      const { codes } = roundToNearest(domain, grid);
      const high = 2 ** (bits - 1) - 1;
      codes.forEach((q, i) => {
        const scale = grid.scales[Math.floor(i / 16)]!;
        assert.ok(Math.abs(q * scale) <= 127 && (q + high) * scale <= 255);
      });
      grid.scales.forEach((scale, at) => {
        const product = scale * grid.rowScales![Math.floor(at / 4)]!;
        assert.equal(product, Math.f16round(product));
      });
    }
    for (let row = 0; row < 64; row++) {
      const inner = domain.values.subarray(row * 64, (row + 1) * 64).map(Math.abs);
      const most = inner.reduce((a, b) => Math.max(a, b));
      // Rounded up to 6, 5 or 4 digits, a row's factor leaves that much of int8 at least.
      assert.ok(127 / (1 + 2 ** -(bits + 1)) <= most && most <= 127, `${most}`);
    }
  }
});

Deno.test("roundEven() goes to the even neighbour", () => {
  const cases = [[0.5, 0], [1.5, 2], [2.5, 2], [-0.5, 0], [-1.5, -2], [-2.5, -2], [2.4, 2]];
  for (const [x, wanted] of cases) assert.equal(roundEven(x!), wanted);
  assert.equal(roundEven(-Infinity), -Infinity);
});

Deno.test("halves end at 65504, and zeros are never negative, for that has other bits", () => {
  assert.deepEqual([65519, 65520, 1e9, -1e9].map(half), [65504, 65504, 65504, -65504]);
  assert.equal(scaleOf(3e38, 127, "f16"), 65504);
  for (const zero of ["pre_scale", "post_scale"] as const) {
    const codes = { low: 0, high: 15, zero, scale: "f16" } as const;
    // 1e-9 lies below half of the smallest half, 2^-24: its negative rounds to zero.
    assert.deepEqual(scaleAndZero({ min: 1e-9, max: 15 }, codes), { scale: 1, zero: 0 });
    const far = scaleAndZero({ min: -2e6, max: 0 }, codes);
    assert.equal(far.scale, 65504);
    assert.equal(far.zero, zero === "post_scale" ? 65504 : 15);
  }
});

Deno.test("a group that does not divide is refused with the one that does", () => {
  const scheme = weightScheme.parse({ group: 128 });
  assert.throws(() => checkGroup("w", scheme, 576), /576 columns.*divides it is 96/);
  assert.equal(largestGroup(1536, 128), 128);
  assert.equal(largestGroup(576, 128), 96);
});
