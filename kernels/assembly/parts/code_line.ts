import { eightCodes, fourValues } from "./code_values";
import { joined, multiplyAdd, sumsOf } from "./floats";
import { fromHalfBits } from "./halves";

/**
 * A row by four rows of codes, `apart` and `groupsApart` bytes each: `inner` values in groups of `group`,
 * both multiples of 8; gives the four sums, in the order of `Product`. It needs 256 bytes.
 * `C` and `Z` are those of `eightCodes`.
 */
export function codeLine<C, Z>(
  x: usize,
  c0: usize,
  apart: usize,
  groups: usize,
  groupsApart: usize,
  group: u32,
  inner: u32,
  scratch: usize,
): v128 {
  const chains = scratch + 128;
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
    for (let n: usize = 0; n < 4; n++) {
      const pair = load<u32>(groups + n * groupsApart);
      v128.store(scratch + 16 * n, f32x4.splat(fromHalfBits(pair & 0xffff)));
      v128.store(scratch + 16 * n, f32x4.splat(fromHalfBits(pair >> 16)), 64);
    }
    groups += 4;
    const f0 = v128.load(scratch);
    const f1 = v128.load(scratch, 16);
    const f2 = v128.load(scratch, 32);
    const f3 = v128.load(scratch, 48);
    const z0 = v128.load(scratch, 64);
    const z1 = v128.load(scratch, 80);
    const z2 = v128.load(scratch, 96);
    const z3 = v128.load(scratch, 112);
    for (const end = c0 + width; c0 < end; c0 += 4 * sizeof<C>()) {
      const l = v128.load(x);
      const h = v128.load(x, 16);
      let q = eightCodes<C, Z>(c0);
      s0l = multiplyAdd(l, fourValues<Z>(i32x4.extend_low_i16x8_s(q), f0, z0), s0l);
      s0h = multiplyAdd(h, fourValues<Z>(i32x4.extend_high_i16x8_s(q), f0, z0), s0h);
      q = eightCodes<C, Z>(c1);
      s1l = multiplyAdd(l, fourValues<Z>(i32x4.extend_low_i16x8_s(q), f1, z1), s1l);
      s1h = multiplyAdd(h, fourValues<Z>(i32x4.extend_high_i16x8_s(q), f1, z1), s1h);
      q = eightCodes<C, Z>(c2);
      s2l = multiplyAdd(l, fourValues<Z>(i32x4.extend_low_i16x8_s(q), f2, z2), s2l);
      s2h = multiplyAdd(h, fourValues<Z>(i32x4.extend_high_i16x8_s(q), f2, z2), s2h);
      q = eightCodes<C, Z>(c3);
      s3l = multiplyAdd(l, fourValues<Z>(i32x4.extend_low_i16x8_s(q), f3, z3), s3l);
      s3h = multiplyAdd(h, fourValues<Z>(i32x4.extend_high_i16x8_s(q), f3, z3), s3h);
      x += 32;
      c1 += 4 * sizeof<C>();
      c2 += 4 * sizeof<C>();
      c3 += 4 * sizeof<C>();
    }
  }
  v128.store(chains, s0l);
  v128.store(chains, s0h, 16);
  v128.store(chains, s1l, 32);
  v128.store(chains, s1h, 48);
  v128.store(chains, s2l, 64);
  v128.store(chains, s2h, 80);
  v128.store(chains, s3l, 96);
  v128.store(chains, s3h, 112);
  return sumsOf(joined(chains), joined(chains + 32), joined(chains + 64), joined(chains + 96));
}
