import { eightCodes, lowerValues, upperValues } from "./code_values";
import { joined, multiplyAdd, sumsOf } from "./floats";

/**
 * A row by four rows of codes, `apart` bytes each: `inner` values in groups of `group`, both multiples of
 * 8; gives the four sums, in the order of `Product`. Scales of `layScales` lie at `scales`, `next` bytes
 * from row to row, with biases `bias` bytes behind them. It needs 128 bytes at `scratch`. `C` and `Z` are
 * those of `eightCodes`, `table` is that of `codeTable`.
 */
export function codeLine<C, Z>(
  x: usize,
  c0: usize,
  apart: usize,
  scales: usize,
  next: usize,
  bias: usize,
  group: u32,
  inner: u32,
  table: usize,
  scratch: usize,
): v128 {
  const low = v128.load(table);
  const high = v128.load(table, 16);
  const bits = v128.load(table, 32);
  let s0l = f32x4.splat(0);
  let s0h = f32x4.splat(0);
  let s1l = f32x4.splat(0);
  let s1h = f32x4.splat(0);
  let s2l = f32x4.splat(0);
  let s2h = f32x4.splat(0);
  let s3l = f32x4.splat(0);
  let s3h = f32x4.splat(0);
  let c1 = c0 + apart;
  let c2 = c1 + apart;
  let c3 = c2 + apart;
  const width = <usize> group * sizeof<C>() / 2;
  const all = c0 + <usize> inner * sizeof<C>() / 2;
  while (c0 < all) {
    const f0 = v128.load32_splat(scales);
    const z0 = biasOf<Z>(scales + bias, f0);
    const f1 = v128.load32_splat(scales + next);
    const z1 = biasOf<Z>(scales + bias + next, f1);
    const f2 = v128.load32_splat(scales + 2 * next);
    const z2 = biasOf<Z>(scales + bias + 2 * next, f2);
    const f3 = v128.load32_splat(scales + 3 * next);
    const z3 = biasOf<Z>(scales + bias + 3 * next, f3);
    scales += 4;
    for (const end = c0 + width; c0 < end; c0 += 4 * sizeof<C>()) {
      const l = v128.load(x);
      const h = v128.load(x, 16);
      let q = eightCodes<C, Z>(c0);
      s0l = multiplyAdd(l, lowerValues<C, Z>(q, low, bits, f0, z0), s0l);
      s0h = multiplyAdd(h, upperValues<C, Z>(q, high, bits, f0, z0), s0h);
      q = eightCodes<C, Z>(c1);
      s1l = multiplyAdd(l, lowerValues<C, Z>(q, low, bits, f1, z1), s1l);
      s1h = multiplyAdd(h, upperValues<C, Z>(q, high, bits, f1, z1), s1h);
      q = eightCodes<C, Z>(c2);
      s2l = multiplyAdd(l, lowerValues<C, Z>(q, low, bits, f2, z2), s2l);
      s2h = multiplyAdd(h, upperValues<C, Z>(q, high, bits, f2, z2), s2h);
      q = eightCodes<C, Z>(c3);
      s3l = multiplyAdd(l, lowerValues<C, Z>(q, low, bits, f3, z3), s3l);
      s3h = multiplyAdd(h, upperValues<C, Z>(q, high, bits, f3, z3), s3h);
      x += 32;
      c1 += 4 * sizeof<C>();
      c2 += 4 * sizeof<C>();
      c3 += 4 * sizeof<C>();
    }
  }
  v128.store(scratch, s0l);
  v128.store(scratch, s0h, 16);
  v128.store(scratch, s1l, 32);
  v128.store(scratch, s1h, 48);
  v128.store(scratch, s2l, 64);
  v128.store(scratch, s2h, 80);
  v128.store(scratch, s3l, 96);
  v128.store(scratch, s3h, 112);
  return sumsOf(joined(scratch), joined(scratch + 32), joined(scratch + 64), joined(scratch + 96));
}

/** A bias, or anything where there is none. */
function biasOf<Z>(at: usize, none: v128): v128 {
  return sizeof<Z>() == 1 ? none : v128.load32_splat(at);
}
