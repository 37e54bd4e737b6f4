/**
 * The order of attention's sums, the same for any batch and any cut of a prompt into chunks: the keys
 * of a sequence lie in blocks of 64 from its first one. What was summed before a block is brought
 * under the maximum of all scores so far, then the block's weights are added, in four chains, one for
 * each remainder of the key by four, and values times them, key after key. What is hidden from a query
 * weighs exactly nothing.
 */
import {
  addOne,
  addRows,
  BLOCK,
  FADE,
  SCORE_BYTES,
  scoreOne,
  scoreRows,
  STATE_BYTES,
} from "./attention_products";
import { EXP_TABLE_BYTES, expFalling4, expFallingRun, expTable } from "./exp";
import { sumOf } from "./floats";
import { softCap4 } from "./tanh";

/** Score of a hidden key. */
const LOWEST: f32 = -3.4028234e38;
/** Where in a row's state is what its scores are taken less of, and where its sums of weights are. */
const BASE: usize = 8;
const WEIGHTS: usize = 16;
const ROWS_BYTES: usize = 64;

/** What some queries make at once, each a row for each of some heads, in memory of the thread. */
@unmanaged
export class Rows {
  count: u32;
  /** Rows of a query. */
  heads: u32;
  /** Bytes of a head as it is given, and here, where zeros fill it up to 16 channels. */
  given: usize;
  bytes: usize;
  /** Where the first query stands, where the first key does, and how many keys a query sees. */
  place: u32;
  lead: u32;
  window: u32;
  /** Of scores; 0 where there is none. */
  cap: f32;
  q: usize;
  scores: usize;
  states: usize;
  sums: usize;
  /** A block: its keys one after another, its values in slices of 16 channels. */
  keys: usize;
  values: usize;
  /** Of \`expFallingRun\`. */
  table: usize;
  /** Memory behind. */
  rest: usize;
}

/** Lays rows out in memory of the thread. */
export function layRows(
  scratch: usize,
  queries: u32,
  heads: u32,
  size: u32,
  place: u32,
  lead: u32,
  window: u32,
  cap: f32,
): Rows {
  const rows = changetype<Rows>(scratch);
  const count = queries * heads;
  const given = <usize> size * 4;
  const bytes = (given + 63) & ~63;
  rows.count = count;
  rows.heads = heads;
  rows.given = given;
  rows.bytes = bytes;
  rows.place = place;
  rows.lead = lead;
  rows.window = window;
  rows.cap = cap;
  rows.q = scratch + ROWS_BYTES;
  rows.sums = rows.q + count * bytes;
  rows.scores = rows.sums + count * bytes;
  rows.states = rows.scores + count * SCORE_BYTES;
  rows.keys = rows.states + count * STATE_BYTES;
  rows.values = rows.keys + BLOCK * bytes;
  rows.table = rows.values + BLOCK * bytes;
  rows.rest = rows.table + EXP_TABLE_BYTES;
  // What fills a head up is never written, and must be finite.
  if (given < bytes) memory.fill(rows.keys, 0, 2 * BLOCK * bytes);
  expTable(rows.table);
  return rows;
}

/** Takes queries, `stride` bytes from one to the next, times the factor of scores. */
export function takeQueries(rows: Rows, q: usize, stride: usize, scale: f32): void {
  const factor = f32x4.splat(scale);
  const bytes = rows.bytes;
  const end = rows.q + rows.count * bytes;
  let to = rows.q;
  while (to < end) {
    let from = q;
    for (let head: u32 = 0; head < rows.heads; head++) {
      let c: usize = 0;
      for (; c < rows.given; c += 16) v128.store(to + c, f32x4.mul(v128.load(from + c), factor));
      for (; c < bytes; c += 16) v128.store(to + c, f32x4.splat(0));
      from += rows.given;
      to += bytes;
    }
    q += stride;
  }
  memory.fill(rows.sums, 0, rows.count * bytes);
  for (let row: u32 = 0; row < rows.count; row++) {
    const state = rows.states + row * STATE_BYTES;
    store<f32>(state, LOWEST);
    v128.store(state, f32x4.splat(0), WEIGHTS);
  }
}

/** The first key of the first block that a row sees. */
export function firstBlock(rows: Rows): u32 {
  return lowest(rows, rows.place) / BLOCK * BLOCK;
}

/** The first key that a query at a place sees. */
function lowest(rows: Rows, place: u32): u32 {
  return place + 1 > rows.window ? max(place + 1 - rows.window, rows.lead) : rows.lead;
}

/** First key of a block, which begins at `first`, that a row sees. */
function lowOf(rows: Rows, row: u32, first: u32): i32 {
  return max(<i32> (lowest(rows, rows.place + row / rows.heads) - first), 0);
}

/** Behind the last key of a block that a row sees; not above 0 where it sees none. */
function highOf(rows: Rows, row: u32, first: u32): i32 {
  return min(<i32> (rows.place + row / rows.heads + 1 - first), BLOCK);
}

/**
 * Adds a block, which begins at key `first`, to all rows. Its keys come first, then its values, for the
 * nearest cache has no room for both.
 */
export function addBlock(rows: Rows, first: u32): void {
  let count: u32 = 0;
  for (let row: u32 = 0; row < rows.count; row += count) {
    count = togetherFrom(rows, row);
    const low = lowOf(rows, row, first) & ~3;
    const high = highOf(rows, row + count - 1, first);
    if (low < high) score(rows, row, count, low, high);
  }
  for (let row: u32 = 0; row < rows.count; row += count) {
    count = togetherFrom(rows, row);
    const low = lowOf(rows, row, first) & ~3;
    const high = highOf(rows, row + count - 1, first);
    if (low >= high) continue;
    for (let i: u32 = 0; i < count; i++) soften(rows, row + i, first, low, high);
    add(rows, row, count, low, high);
  }
}

/** How many rows from one on are made together. */
function togetherFrom(rows: Rows, row: u32): u32 {
  const left = rows.count - row;
  return left >= 6 ? 6 : left >= 3 ? 3 : 1;
}

function score(rows: Rows, row: u32, count: u32, low: i32, high: i32): void {
  const q = rows.q + row * rows.bytes;
  const to = rows.scores + row * SCORE_BYTES;
  if (count == 6) scoreRows<u16>(q, rows.keys, rows.bytes, to, low, high, rows.rest);
  else if (count == 3) scoreRows<u8>(q, rows.keys, rows.bytes, to, low, high, rows.rest);
  else scoreOne(q, rows.keys, rows.bytes, to, low, high, rows.rest);
  if (rows.cap > 0) capScores(to, count, low, high, rows.cap);
}

/** Caps the scores of rows by keys of a block, from a multiple of four. */
function capScores(scores: usize, count: u32, low: i32, high: i32, cap: f32): void {
  for (let row: u32 = 0; row < count; row++) {
    const first = scores + row * SCORE_BYTES;
    for (let key = low; key < high; key += 4) {
      const at = first + <usize> key * 4;
      v128.store(at, softCap4(v128.load(at), cap));
    }
  }
}

function add(rows: Rows, row: u32, count: u32, low: i32, high: i32): void {
  const weights = rows.scores + row * SCORE_BYTES;
  const sums = rows.sums + row * rows.bytes;
  const states = rows.states + row * STATE_BYTES;
  if (count == 6) addRows<u16>(weights, rows.values, sums, rows.bytes, states, low, high);
  else if (count == 3) addRows<u8>(weights, rows.values, sums, rows.bytes, states, low, high);
  else addOne(weights, rows.values, sums, rows.bytes, states, low, high);
}

/** Turns a row's scores of a block, from a multiple of four, into weights. */
function soften(rows: Rows, row: u32, first: u32, from: i32, to: i32): void {
  const scores = rows.scores + row * SCORE_BYTES;
  const state = rows.states + row * STATE_BYTES;
  const end = scores + <usize> to * 4;
  const low = lowOf(rows, row, first);
  const high = highOf(rows, row, first);
  if (low > from || high < ((to + 3) & ~3)) hide(scores, low, high, from, to);
  let most = f32x4.splat(LOWEST);
  for (let at = scores + <usize> from * 4; at < end; at += 16) {
    most = f32x4.pmax(most, v128.load(at));
  }
  most = f32x4.pmax(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  most = f32x4.pmax(most, v128.shuffle<i32>(most, most, 1, 0, 3, 2));
  const before = v128.load32_splat(state);
  most = f32x4.pmax(before, most);
  const fade = expFalling4(f32x4.sub(before, most));
  let weights = f32x4.mul(v128.load(state, WEIGHTS), fade);
  const seen = f32x4.extract_lane(most, 0) > LOWEST;
  // Without a key in sight, scores are all the lowest, and e^0 would be 1.
  store<f32>(state, seen ? f32x4.extract_lane(most, 0) : 0, BASE);
  weights = expFallingRun(rows.table, scores + <usize> from * 4, end, state + BASE, weights);
  store<f32>(state, f32x4.extract_lane(most, 0));
  store<f32>(state, f32x4.extract_lane(fade, 0), FADE);
  v128.store(state, weights, WEIGHTS);
}

/** Gives keys outside of a range the lowest score. */
function hide(scores: usize, low: i32, high: i32, from: i32, to: i32): void {
  const lows = i32x4.splat(low);
  const highs = i32x4.splat(high);
  for (let key = from; key < to; key += 4) {
    const keys = i32x4.add(i32x4.splat(key), i32x4(0, 1, 2, 3));
    const shown = v128.andnot(i32x4.lt_s(keys, highs), i32x4.lt_s(keys, lows));
    const at = scores + <usize> key * 4;
    v128.store(at, v128.bitselect(v128.load(at), f32x4.splat(LOWEST), shown));
  }
}

/** Writes what queries got, `stride` bytes from one to the next. */
export function giveSums(rows: Rows, y: usize, stride: usize): void {
  let sums = rows.sums;
  for (let row: u32 = 0; row < rows.count; row += rows.heads) {
    let to = y;
    for (let head: u32 = 0; head < rows.heads; head++) {
      const weight = sumOf(v128.load(rows.states + (row + head) * STATE_BYTES, WEIGHTS));
      for (let c: usize = 0; c < rows.given; c += 16) {
        v128.store(to + c, f32x4.div(v128.load(sums + c), f32x4.splat(weight)));
      }
      to += rows.given;
      sums += rows.bytes;
    }
    y += stride;
  }
}
