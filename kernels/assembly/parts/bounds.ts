import { EXP_TABLE_BYTES, expFallingBy4, expTable } from "./exp";
import { BLOCK, four, preciseSum } from "./row";

/** Bytes of what `massBound` makes before its lists: the table of `expFallingBy4` and a histogram. */
export const HEAD_BYTES: usize = 2240;

/** Below e^-30 of the largest, as many values as a row has change no share in single precision. */
const FAR: f32 = -30;
/** Buckets are a quarter wide; the last one has all the rest. */
const BUCKETS: u32 = 64;
const BUCKETS_OF_ONE: f32 = 4;
/** Weights that are added in single precision. */
const PART: u32 = 1024;

/** An integer in the order of the floats; its own inverse on their bits. */
function ordered(bits: i32): i32 {
  return bits ^ ((bits >> 31) & 0x7fffffff);
}

function keyOf(value: f32): i32 {
  return ordered(reinterpret<i32>(value));
}

function valueOf(key: i32): f32 {
  return reinterpret<f32>(ordered(key));
}

/** Between two keys, or the larger one. */
function middleOf(low: i32, high: i32): i32 {
  return high - <i32> (<u32> (high - low) >> 1);
}

/**
 * A bound that leaves so many values of a list, and no more than `slack` others; where equal ones
 * allow no such bound, the largest one that leaves enough.
 */
export function countBound(values: usize, count: u32, wanted: u32, slack: u32): f32 {
  let low = keyOf(-Infinity);
  let high = keyOf(Infinity);
  while (low < high) {
    const middle = middleOf(low, high);
    const kept = counted(values, count, valueOf(middle));
    if (kept < wanted) {
      high = middle - 1;
      continue;
    }
    low = middle;
    if (kept <= wanted + slack) break;
  }
  return valueOf(low);
}

/** Values from a bound on. */
function counted(values: usize, count: u32, bound: f32): u32 {
  const least = f32x4.splat(bound);
  let sum = i32x4.splat(0);
  let at: u32 = 0;
  for (; at + 4 <= count; at += 4) {
    sum = i32x4.sub(sum, f32x4.ge(v128.load(values + <usize> at * 4), least));
  }
  let rest: u32 = 0;
  for (; at < count; at++) if (load<f32>(values + <usize> at * 4) >= bound) rest++;
  return rest + i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1) +
    i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3);
}

/** Lists the values of a row from a bound on; gives their number, `room` where there are more. */
export function listFrom(
  bound: f32,
  row: usize,
  columns: u32,
  maxima: usize,
  list: usize,
  room: u32,
): u32 {
  const least = f32x4.splat(bound);
  let count: u32 = 0;
  for (let from: u32 = 0; from < columns; from += BLOCK) {
    if (!(load<f32>(maxima + <usize> (from / BLOCK) * 4) >= bound)) continue;
    if (count + BLOCK > room) return room;
    const end = min(from + BLOCK, columns);
    for (let at = from; at < end; at += 4) {
      const values = four(row, at, end);
      count = append(list, count, values, f32x4.ge(values, least), min(4, end - at));
    }
  }
  return count;
}

/** Adds those of four values that are marked to a list; gives its new length. */
function append(list: usize, count: u32, values: v128, marks: v128, lanes: u32): u32 {
  let marked = i32x4.bitmask(marks) & ((1 << lanes) - 1);
  if (!marked) return count;
  const to = list + <usize> count * 4;
  if (marked === 15) {
    v128.store(to, values);
    return count + 4;
  }
  for (; marked; marked &= marked - 1) {
    const lane = ctz(marked);
    store<f32>(list + <usize> count * 4, laneOf(values, lane));
    count++;
  }
  return count;
}

function laneOf(v: v128, lane: u32): f32 {
  if (lane < 2) return lane ? f32x4.extract_lane(v, 1) : f32x4.extract_lane(v, 0);
  return lane > 2 ? f32x4.extract_lane(v, 3) : f32x4.extract_lane(v, 2);
}

/**
 * The largest bound from `least` on that leaves such a share of the weights e^((value - most) scale)
 * of a list's values. `space` has `HEAD_BYTES` and twice room for `room` values.
 */
export function massBound(
  values: usize,
  count: u32,
  least: f32,
  most: f32,
  scale: f32,
  share: f32,
  space: usize,
  room: u32,
): f32 {
  const sums = space + EXP_TABLE_BYTES;
  expTable(space);
  fillHistogram(values, count, least, most, scale, space);
  let total: f64 = 0;
  for (let bucket: u32 = 0; bucket < BUCKETS; bucket++) total += massOf(sums, bucket);
  const wanted = total * <f64> share;
  let over: f64 = 0;
  let bucket: u32 = 0;
  while (bucket < BUCKETS - 1 && over + massOf(sums, bucket) < wanted) {
    over += massOf(sums, bucket);
    bucket++;
  }
  const list = space + HEAD_BYTES;
  const listed = listBucket(values, count, least, most, scale, bucket, list, room);
  if (listed === room) {
    return searched(values, 0, count, least, most, scale, wanted, space);
  }
  const weights = list + <usize> room * 4;
  const shift = f32x4.splat(most);
  const factor = f32x4.splat(scale);
  for (let at: u32 = 0; at < listed; at += 4) {
    const x = f32x4.mul(f32x4.sub(four(list, at, listed), shift), factor);
    v128.store(weights + <usize> at * 4, expFallingBy4(space, x));
  }
  v128.store(weights + (<usize> (listed + 3) & ~3) * 4, f32x4.splat(0));
  return searched(list, weights, listed, least, most, scale, wanted - over, space);
}

/** Adds the weights in each bucket, four sums by lane. */
function fillHistogram(
  values: usize,
  count: u32,
  least: f32,
  most: f32,
  scale: f32,
  table: usize,
): void {
  const sums = table + EXP_TABLE_BYTES;
  memory.fill(sums, 0, HEAD_BYTES - EXP_TABLE_BYTES);
  const last = f32x4.splat(<f32> (BUCKETS - 1));
  let rest = f32x4.splat(0);
  for (let at: u32 = 0; at < count; at += 4) {
    const v = four(values, at, count);
    const x = f32x4.mul(f32x4.sub(v, f32x4.splat(most)), f32x4.splat(scale));
    const kept = v128.and(f32x4.ge(x, f32x4.splat(FAR)), f32x4.ge(v, f32x4.splat(least)));
    if (!v128.any_true(kept)) continue;
    const weights = v128.and(expFallingBy4(table, x), kept);
    const far = f32x4.mul(x, f32x4.splat(-BUCKETS_OF_ONE));
    if (i32x4.all_true(f32x4.ge(far, last))) {
      // They are small: single precision will do.
      rest = f32x4.add(rest, weights);
      continue;
    }
    addWeights(sums, i32x4.trunc_sat_f32x4_s(f32x4.pmin(far, last)), weights);
  }
  addWeights(sums, i32x4.splat(BUCKETS - 1), rest);
}

function addWeights(sums: usize, buckets: v128, weights: v128): void {
  const offsets = i32x4.shl(buckets, 5);
  const first = f64x2.promote_low_f32x4(weights);
  const last = f64x2.promote_low_f32x4(i32x4.shuffle(weights, weights, 2, 3, 0, 1));
  addTo(sums + i32x4.extract_lane(offsets, 0), f64x2.extract_lane(first, 0));
  addTo(sums + i32x4.extract_lane(offsets, 1) + 8, f64x2.extract_lane(first, 1));
  addTo(sums + i32x4.extract_lane(offsets, 2) + 16, f64x2.extract_lane(last, 0));
  addTo(sums + i32x4.extract_lane(offsets, 3) + 24, f64x2.extract_lane(last, 1));
}

function addTo(sum: usize, value: f64): void {
  store<f64>(sum, load<f64>(sum) + value);
}

function massOf(sums: usize, bucket: u32): f64 {
  const at = sums + (<usize> bucket << 5);
  return (load<f64>(at) + load<f64>(at, 8)) + (load<f64>(at, 16) + load<f64>(at, 24));
}

/** Lists the values in a bucket from a bound on; gives their number, `room` where there are more. */
function listBucket(
  values: usize,
  count: u32,
  least: f32,
  most: f32,
  scale: f32,
  bucket: u32,
  list: usize,
  room: u32,
): u32 {
  const near = <f32> bucket;
  const far: f32 = bucket < BUCKETS - 1 ? near + 1 : -BUCKETS_OF_ONE * FAR;
  let listed: u32 = 0;
  for (let at: u32 = 0; at < count; at += 4) {
    const v = four(values, at, count);
    const x = f32x4.mul(f32x4.sub(v, f32x4.splat(most)), f32x4.splat(scale));
    const distance = f32x4.mul(x, f32x4.splat(-BUCKETS_OF_ONE));
    const inside = v128.and(
      f32x4.ge(distance, f32x4.splat(near)),
      f32x4.lt(distance, f32x4.splat(far)),
    );
    const here = v128.and(inside, f32x4.ge(v, f32x4.splat(least)));
    if (!v128.any_true(here)) continue;
    if (listed + 8 > room) return room;
    listed = append(list, listed, v, here, 4);
  }
  return listed;
}

/** The largest bound from `least` on that leaves so much; weights are made where none are given. */
function searched(
  values: usize,
  weights: usize,
  count: u32,
  least: f32,
  most: f32,
  scale: f32,
  wanted: f64,
  table: usize,
): f32 {
  let low = keyOf(least);
  let high = keyOf(most);
  if (weights) {
    low = keyOf(Infinity);
    high = keyOf(-Infinity);
    for (let at: u32 = 0; at < count; at++) {
      const key = keyOf(load<f32>(values + <usize> at * 4));
      low = min(low, key);
      high = max(high, key);
    }
  }
  while (low < high) {
    const middle = middleOf(low, high);
    const bound = valueOf(middle);
    const mass = weights
      ? listedMass(values, weights, count, bound)
      : rowMass(values, count, bound, most, scale, table);
    if (mass >= wanted) low = middle;
    else high = middle - 1;
  }
  return valueOf(low);
}

/** The weights of a list's values from a bound on; 0 follows behind the last one. */
function listedMass(values: usize, weights: usize, count: u32, bound: f32): f64 {
  const least = f32x4.splat(bound);
  let sum: f64 = 0;
  for (let from: u32 = 0; from < count; from += PART) {
    const end = min(from + PART, count);
    let a = f32x4.splat(0);
    let b = a;
    for (let at = from; at < end; at += 8) {
      const v = values + <usize> at * 4;
      const w = weights + <usize> at * 4;
      a = f32x4.add(a, v128.and(f32x4.ge(v128.load(v), least), v128.load(w)));
      b = f32x4.add(b, v128.and(f32x4.ge(v128.load(v, 16), least), v128.load(w, 16)));
    }
    sum += preciseSum(f32x4.add(a, b));
  }
  return sum;
}

/** The weights of a row's values from a bound on. */
function rowMass(
  values: usize,
  count: u32,
  bound: f32,
  most: f32,
  scale: f32,
  table: usize,
): f64 {
  const least = f32x4.splat(bound);
  let sum: f64 = 0;
  for (let from: u32 = 0; from < count; from += PART) {
    const end = min(from + PART, count);
    let part = f32x4.splat(0);
    for (let at = from; at < end; at += 4) {
      const v = four(values, at, end);
      const x = f32x4.mul(f32x4.sub(v, f32x4.splat(most)), f32x4.splat(scale));
      part = f32x4.add(part, v128.and(f32x4.ge(v, least), expFallingBy4(table, x)));
    }
    sum += preciseSum(part);
  }
  return sum;
}
