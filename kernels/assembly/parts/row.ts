import { expFallingBy4 } from "./exp";

/** Values of a block, the largest of which is kept, so that later passes skip most blocks. */
export const BLOCK: u32 = 64;
/** Values whose exponentials are added in single precision. */
const PART: u32 = 1024;

/** Four values of a list; minus infinity behind its end. */
export function four(values: usize, at: u32, count: u32): v128 {
  const all = v128.load(values + <usize> at * 4);
  if (at + 4 <= count) return all;
  return v128.bitselect(all, f32x4.splat(-Infinity), before(count - at));
}

/** All bits of so many lanes. */
export function before(lanes: u32): v128 {
  return i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(lanes));
}

/** So many blocks a row has. */
export function blocksOf(columns: u32): u32 {
  return (columns + BLOCK - 1) / BLOCK;
}

/** The largest value of a row; writes that of each block. */
export function survey(row: usize, columns: u32, maxima: usize): f32 {
  let largest: f32 = -Infinity;
  for (let from: u32 = 0; from < columns; from += BLOCK) {
    const here = blockLargest(row, from, columns);
    store<f32>(maxima + <usize> (from / BLOCK) * 4, here);
    if (here > largest) largest = here;
  }
  return largest;
}

function blockLargest(row: usize, from: u32, columns: u32): f32 {
  let a = f32x4.splat(-Infinity);
  let b = a;
  let c = a;
  let d = a;
  if (from + BLOCK <= columns) {
    const block = row + <usize> from * 4;
    for (let at: usize = 0; at < BLOCK * 4; at += 64) {
      a = f32x4.pmax(a, v128.load(block + at));
      b = f32x4.pmax(b, v128.load(block + at, 16));
      c = f32x4.pmax(c, v128.load(block + at, 32));
      d = f32x4.pmax(d, v128.load(block + at, 48));
    }
  } else {
    for (let at = from; at < columns; at += 4) a = f32x4.pmax(a, four(row, at, columns));
  }
  return largestOf(f32x4.pmax(f32x4.pmax(a, b), f32x4.pmax(c, d)));
}

/** The largest of four floats. */
export function largestOf(v: v128): f32 {
  const pairs = f32x4.pmax(v, i32x4.shuffle(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.pmax(pairs, i32x4.shuffle(pairs, pairs, 1, 0, 3, 2)), 0);
}

/** The first place of the largest value. */
export function placeOf(largest: f32, row: usize, columns: u32, maxima: usize): u32 {
  let block: u32 = 0;
  while (block + 1 < blocksOf(columns) && load<f32>(maxima + <usize> block * 4) !== largest) {
    block++;
  }
  let place = block * BLOCK;
  while (place + 1 < columns && load<f32>(row + <usize> place * 4) !== largest) place++;
  return place;
}

/**
 * The sum of the exponentials of values less the largest one, in single precision only in parts;
 * `table` is of `expFallingBy4`.
 */
export function exponentials(row: usize, columns: u32, largest: f32, table: usize): f64 {
  const most = f32x4.splat(largest);
  let sum: f64 = 0;
  for (let from: u32 = 0; from < columns; from += PART) {
    const end = min(from + PART, columns);
    let a = f32x4.splat(0);
    let b = a;
    let c = a;
    let d = a;
    let at = from;
    for (; at + 16 <= end; at += 16) {
      const values = row + <usize> at * 4;
      a = f32x4.add(a, expFallingBy4(table, f32x4.sub(v128.load(values), most)));
      b = f32x4.add(b, expFallingBy4(table, f32x4.sub(v128.load(values, 16), most)));
      c = f32x4.add(c, expFallingBy4(table, f32x4.sub(v128.load(values, 32), most)));
      d = f32x4.add(d, expFallingBy4(table, f32x4.sub(v128.load(values, 48), most)));
    }
    for (; at < end; at += 4) {
      a = f32x4.add(a, expFallingBy4(table, f32x4.sub(four(row, at, end), most)));
    }
    sum += preciseSum(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
  }
  return sum;
}

/** The sum of four floats in double precision. */
export function preciseSum(v: v128): f64 {
  const pairs = f64x2.add(
    f64x2.promote_low_f32x4(v),
    f64x2.promote_low_f32x4(i32x4.shuffle(v, v, 2, 3, 0, 1)),
  );
  return f64x2.extract_lane(pairs, 0) + f64x2.extract_lane(pairs, 1);
}
