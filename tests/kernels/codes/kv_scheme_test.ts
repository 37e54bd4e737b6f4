import { strict as assert } from "node:assert";
import { groupScale, kvCodes, type KvScheme } from "../../../kernels/codes/kv_scheme.ts";
import { codeOf, valueOf } from "../../../kernels/codes/quantizer.ts";
import { normals } from "../../support/random.ts";

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

Deno.test("a fitted range is the share that leaves the least squared error, the first of equals", () => {
  // Steps of 0.92 meet all but the last.
  const values = Float32Array.from({ length: 24 }, (_, i) => 0.92 * (4 + i % 5));
  values.set([0, 15]);
  const scheme: KvScheme = { bits: 4, zero: "post_scale", group: 24, fit: true };
  const errors = [1, 0.96, 0.92, 0.88, 0.84].map((share) => {
    const scale = Math.f16round(15 * share / 15);
    return values.reduce((sum, value) => {
      const code = Math.min(15, Math.round(value / scale));
      return sum + (value - code * scale) ** 2;
    }, 0);
  });
  const best = errors.indexOf(Math.min(...errors));
  assert.equal(best, 2);
  const { scale, zero } = groupScale(values, scheme);
  assert.deepEqual([scale, zero], [Math.f16round([1, 0.96, 0.92, 0.88, 0.84][best]!), 0]);
  // Whole steps are met exactly by the whole range.
  const whole = Float32Array.from({ length: 16 }, (_, i) => i);
  assert.equal(groupScale(whole, { ...scheme, group: 16 }).scale, 1);
  assert.equal(groupScale(new Float32Array(24), scheme).scale, 1);
});

Deno.test("fitted ranges never leave more squared error than whole ones", () => {
  const random = normals("fit");
  let less = 0;
  for (const zero of ["none", "pre_scale", "post_scale"] as const) {
    for (let group = 0; group < 50; group++) {
      const values = Float32Array.from({ length: 64 }, () => random.next().value);
      const errorOf = (scheme: KvScheme) => {
        const { scale, zero: shift } = groupScale(values, scheme);
        return values.reduce((sum, value) => {
          const code = codeOf(value, scale, shift, kvCodes(scheme));
          return sum + (value - valueOf(code, scale, shift, zero)) ** 2;
        }, 0);
      };
      const scheme: KvScheme = { bits: 4, zero, group: 64 };
      const [whole, fitted] = [errorOf(scheme), errorOf({ ...scheme, fit: true })];
      assert.ok(fitted <= whole * (1 + 1e-6), `${zero}: ${fitted} of ${whole}`);
      if (fitted < 0.97 * whole) less++;
    }
  }
  assert.ok(less > 75, `${less} of 150`);
});

Deno.test("halves round to even codes, and none leaves its range", () => {
  const values = Float32Array.of(0.5, 1.5, 2.5, -0.5, -1.5, 7, -7, 90);
  const scheme: KvScheme = { bits: 4, zero: "none", group: 8, range: 7 };
  assert.deepEqual(codes(values, scheme), [0, 2, 2, 0, -2, 7, -7, 7]);
  assert.equal(groupScale(values, { ...scheme, bits: 8, range: 254 }).scale, 2);
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
