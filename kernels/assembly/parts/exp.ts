import { multiplyAdd } from "./floats";

/** Below, e^x is smaller than the smallest normal number and becomes 0; above, it is infinite. */
const LEAST: f32 = -87.33654;
const MOST: f32 = 88.72284;
const LOG2_OF_E: f32 = 1.44269504;
/** Added to a float below 2^22, rounds it to a whole number, which then is in its lowest bits. */
const TO_WHOLE: f32 = 12582912;
/** Less ln 2 in two parts, of which the first times a whole number up to 128 is exact. */
const LESS_LN2: f32 = -0.693359375;
const LESS_LN2_REST: f32 = 2.12194440e-4;
const P0: f32 = 1.9875691500e-4;
const P1: f32 = 1.3981999507e-3;
const P2: f32 = 8.3334519073e-3;
const P3: f32 = 4.1665795894e-2;
const P4: f32 = 1.6666665459e-1;
const P5: f32 = 5.0000001201e-1;

/** Bytes of a table for `expFallingBy4`. */
export const EXP_TABLE_BYTES: usize = 192;
/** Where in it 1 lies. */
export const EXP_ONE: usize = 176;

/** e^x of four floats, within 2 units of the last place. */
export function exp4(x: v128): v128 {
  const inside = f32x4.pmin(f32x4.pmax(x, f32x4.splat(LEAST)), f32x4.splat(MOST));
  const finite = v128.andnot(expInside4(inside), f32x4.lt(x, f32x4.splat(LEAST)));
  return v128.bitselect(f32x4.splat(Infinity), finite, f32x4.gt(x, f32x4.splat(MOST)));
}

/** e^x, with the bits of `exp4`. */
export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0);
}

/** e^x of four floats up to 0, with the bits of `exp4`; no number stays no number. */
export function expFalling4(x: v128): v128 {
  const value = expInside4(f32x4.pmax(x, f32x4.splat(LEAST)));
  return v128.andnot(value, f32x4.lt(x, f32x4.splat(LEAST)));
}

/**
 * The same with constants from a table (see `expTable()`), at twice the speed in loops: V8 makes
 * literal ones anew from integer registers in every turn.
 */
export function expFallingBy4(table: usize, x: v128): v128 {
  const value = expBetween(
    f32x4.pmax(x, v128.load(table)),
    v128.load(table, 16),
    v128.load(table, 32),
    v128.load(table, 48),
    v128.load(table, 64),
    v128.load(table, 80),
    v128.load(table, 96),
    v128.load(table, 112),
    v128.load(table, 128),
    v128.load(table, 144),
    v128.load(table, 160),
    v128.load(table, EXP_ONE),
  );
  return v128.andnot(value, f32x4.lt(x, v128.load(table)));
}

/**
 * e^(x - most) in the place of each x up to `end`, eight at a time and at last four; `most` lies in
 * memory. Gives `sum` with all added.
 */
export function expFallingRun(
  table: usize,
  at: usize,
  end: usize,
  largest: usize,
  sum: v128,
): v128 {
  const most = v128.load32_splat(largest);
  const least = v128.load(table);
  const log2OfE = v128.load(table, 16);
  const toWhole = v128.load(table, 32);
  const lessLn2 = v128.load(table, 48);
  const lessLn2Rest = v128.load(table, 64);
  const p0 = v128.load(table, 80);
  const p1 = v128.load(table, 96);
  const p2 = v128.load(table, 112);
  const p3 = v128.load(table, 128);
  const p4 = v128.load(table, 144);
  const p5 = v128.load(table, 160);
  const one = v128.load(table, EXP_ONE);
  for (; at + 32 <= end; at += 32) {
    const x0 = f32x4.sub(v128.load(at), most);
    const e0 = expBetween(
      f32x4.pmax(x0, least),
      log2OfE,
      toWhole,
      lessLn2,
      lessLn2Rest,
      p0,
      p1,
      p2,
      p3,
      p4,
      p5,
      one,
    );
    const value0 = v128.andnot(e0, f32x4.lt(x0, least));
    const x1 = f32x4.sub(v128.load(at, 16), most);
    const e1 = expBetween(
      f32x4.pmax(x1, least),
      log2OfE,
      toWhole,
      lessLn2,
      lessLn2Rest,
      p0,
      p1,
      p2,
      p3,
      p4,
      p5,
      one,
    );
    const value1 = v128.andnot(e1, f32x4.lt(x1, least));
    v128.store(at, value0);
    v128.store(at, value1, 16);
    sum = f32x4.add(f32x4.add(sum, value0), value1);
  }
  for (; at < end; at += 16) {
    const x = f32x4.sub(v128.load(at), most);
    const e = expBetween(
      f32x4.pmax(x, least),
      log2OfE,
      toWhole,
      lessLn2,
      lessLn2Rest,
      p0,
      p1,
      p2,
      p3,
      p4,
      p5,
      one,
    );
    const value = v128.andnot(e, f32x4.lt(x, least));
    v128.store(at, value);
    sum = f32x4.add(sum, value);
  }
  return sum;
}

/** Writes the table of `expFallingBy4`. */
export function expTable(to: usize): void {
  v128.store(to, f32x4.splat(LEAST));
  v128.store(to, f32x4.splat(LOG2_OF_E), 16);
  v128.store(to, f32x4.splat(TO_WHOLE), 32);
  v128.store(to, f32x4.splat(LESS_LN2), 48);
  v128.store(to, f32x4.splat(LESS_LN2_REST), 64);
  v128.store(to, f32x4.splat(P0), 80);
  v128.store(to, f32x4.splat(P1), 96);
  v128.store(to, f32x4.splat(P2), 112);
  v128.store(to, f32x4.splat(P3), 128);
  v128.store(to, f32x4.splat(P4), 144);
  v128.store(to, f32x4.splat(P5), 160);
  v128.store(to, f32x4.splat(1), EXP_ONE);
}

function expInside4(x: v128): v128 {
  return expBetween(
    x,
    f32x4.splat(LOG2_OF_E),
    f32x4.splat(TO_WHOLE),
    f32x4.splat(LESS_LN2),
    f32x4.splat(LESS_LN2_REST),
    f32x4.splat(P0),
    f32x4.splat(P1),
    f32x4.splat(P2),
    f32x4.splat(P3),
    f32x4.splat(P4),
    f32x4.splat(P5),
    f32x4.splat(1),
  );
}

/**
 * e^x of floats between both bounds: x = n ln 2 + r, and a polynomial of r (S. Moshier, Cephes,
 * expf.c).
 */
function expBetween(
  x: v128,
  log2OfE: v128,
  toWhole: v128,
  lessLn2: v128,
  lessLn2Rest: v128,
  p0: v128,
  p1: v128,
  p2: v128,
  p3: v128,
  p4: v128,
  p5: v128,
  one: v128,
): v128 {
  const whole = f32x4.add(f32x4.mul(x, log2OfE), toWhole);
  const n = f32x4.sub(whole, toWhole);
  const r = multiplyAdd(n, lessLn2Rest, multiplyAdd(n, lessLn2, x));
  let p = multiplyAdd(p0, r, p1);
  p = multiplyAdd(p, r, p2);
  p = multiplyAdd(p, r, p3);
  p = multiplyAdd(p, r, p4);
  p = multiplyAdd(p, r, p5);
  const value = f32x4.add(multiplyAdd(p, f32x4.mul(r, r), r), one);
  // Times 2^n: added to the exponent, which stays in its range between both bounds.
  return i32x4.add(value, i32x4.shl(whole, 23));
}
