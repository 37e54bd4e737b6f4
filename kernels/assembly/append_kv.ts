import { halfBits, halfBits4, roundedToHalf } from "./parts/halves";
import {
  codesAt,
  NONE,
  Page,
  PAGE_TOKENS,
  POST_SCALE,
  PRE_SCALE,
  scalesAt,
  SINK_SLOT,
  toZeros,
} from "./parts/kv_page";

@unmanaged
class Args {
  k: usize;
  v: usize;
  slots: usize;
  /** What channels of keys add to those behind them; 0 for nothing. */
  compensation: usize;
  keys: usize;
  values: usize;
  tokens: u32;
  kv_heads: u32;
  pages: u32;
  size: u32;
  /** Tokens of a task. */
  task_tokens: u32;
  /** A `Page` each of keys and values. */
  key_bits: u32;
  key_zero: u32;
  key_group: u32;
  key_fixed: u32;
  key_words: u32;
  key_scale: f32;
  key_clip: f32;
  key_fit: u32;
  value_bits: u32;
  value_zero: u32;
  value_group: u32;
  value_fixed: u32;
  value_words: u32;
  value_scale: f32;
  value_clip: f32;
  value_fit: u32;
}

/** Adding it rounds to an integer, ties to even, which then is in the last bits. */
const INTEGERS: f32 = 12582912;

/** Some tokens are a task; their keys one, their values another. `scratch` takes a head. */
export function appendKv(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const second = task & 1;
  const page = changetype<Page>(at + offsetof<Args>("key_bits") + second * offsetof<Page>());
  const x = second ? args.v : args.k;
  const pool = second ? args.values : args.keys;
  const compensation = second ? 0 : args.compensation;
  const row = <usize> args.kv_heads * args.size * 4;
  const first = (task >> 1) * args.task_tokens;
  const end = min(first + args.task_tokens, args.tokens);
  for (let token = first; token < end; token++) {
    const slot = load<u32>(args.slots + <usize> token * 4);
    if (slot % SINK_SLOT / PAGE_TOKENS >= args.pages) continue;
    const own = x + token * row;
    append(page, pool, slot, own, args.kv_heads, args.size, compensation, scratch);
  }
}

/** Writes a token's heads to its slot of a pool; where they are compensated, `scratch` takes one of them. */
export function append(
  page: Page,
  pool: usize,
  slot: u32,
  x: usize,
  kvHeads: u32,
  size: u32,
  compensation: usize,
  scratch: usize,
): void {
  const start = pool + <usize> (slot % SINK_SLOT / PAGE_TOKENS) * page.words * 4;
  const token = slot % PAGE_TOKENS;
  if (slot >= SINK_SLOT) appendSink(page, start, token, x, kvHeads, size);
  else appendHeads(page, start, token, x, kvHeads, size, compensation, scratch);
}

/** Writes a token's heads in half precision from its place on. */
function appendSink(
  page: Page,
  start: usize,
  token: u32,
  x: usize,
  kvHeads: u32,
  size: u32,
): void {
  for (let head: u32 = 0; head < kvHeads; head++) {
    const end = x + <usize> size * 4;
    appendHalves(x, end, codesAt(page, start, head, token, size));
    x = end;
  }
}

function appendHeads(
  page: Page,
  start: usize,
  token: u32,
  x: usize,
  kvHeads: u32,
  size: u32,
  compensation: usize,
  scratch: usize,
): void {
  const zeros = toZeros(page, kvHeads, size);
  const row = compensation ? <usize> size * 4 : 0;
  for (let head: u32 = 0; head < kvHeads; head++) {
    let codes = codesAt(page, start, head, token, size);
    let scales = scalesAt(page, start, kvHeads, head, size) + <usize> token * 2;
    const headEnd = x + <usize> size * 4;
    let made = x;
    if (compensation) {
      memory.copy(scratch, x, row);
      made = scratch;
    }
    for (; x < headEnd; x += <usize> page.group * 4) {
      codes = appendGroup(page, x, headEnd, made, compensation, row, codes, scales, zeros);
      scales += PAGE_TOKENS * 2;
      made += <usize> page.group * 4;
      // The next group's first row, from the column of its first channel on.
      if (compensation) compensation += <usize> page.group * (row + 4);
    }
    // Behind the last row it stands at the second row's end of the next head.
    if (compensation) compensation -= row;
  }
}

/**
 * Writes a group of a head and gives where the codes of the next one begin: ranges are those of `x`, codes
 * those of `made`, which channels behind take from `compensation`, whose rows are `row` bytes apart.
 */
function appendGroup(
  page: Page,
  x: usize,
  headEnd: usize,
  made: usize,
  compensation: usize,
  row: usize,
  codes: usize,
  scales: usize,
  zeros: usize,
): usize {
  const end = x + <usize> page.group * 4;
  if (page.bits == 16) return appendHalves(x, end, codes);
  let scale = page.scale;
  let zero: f32 = 0;
  if (!page.fixed) {
    let least = leastOf(x, end) * page.clip;
    let most = mostOf(x, end) * page.clip;
    if (page.fit) {
      const share = bestShare(page, x, end, least, most);
      least *= share;
      most *= share;
    }
    scale = scaleOf(page, least, most);
    zero = zeroOf(page, least, scale);
    store<u16>(scales, halfBits(scale));
    if (page.zero != NONE) store<u16>(scales + zeros, halfBits(zero));
  }
  if (compensation) compensate(page, x, end, headEnd, made, compensation, row, scale, zero);
  return appendCodes(page, made, made + (end - x), codes, scale, zero);
}

/** Writes values of half precision and gives where the next ones go. */
function appendHalves(x: usize, end: usize, to: usize): usize {
  for (; x < end; x += 32) {
    const low = halfBits4(v128.load(x));
    const high = x + 16 < end ? halfBits4(v128.load(x, 16)) : i32x4.splat(0);
    v128.store(to, i16x8.narrow_i32x4_u(low, high));
    to += 16;
  }
  return to;
}

/** Adds to the channels of a head what the codes of channels before them miss, for those of one group. */
function compensate(
  page: Page,
  x: usize,
  end: usize,
  headEnd: usize,
  made: usize,
  shares: usize,
  row: usize,
  scale: f32,
  zero: f32,
): void {
  const before: f32 = page.zero == POST_SCALE ? zero : 0;
  const behind: f32 = page.zero == PRE_SCALE ? zero : 0;
  const high = highest(page);
  const low: f32 = page.zero == NONE ? -high : 0;
  const all = headEnd - x;
  const count = end - x;
  for (let at: usize = 0; at < count; at += 4) {
    const real = (load<f32>(made + at) + before) / scale + behind;
    const code = nearest<f32>(min(max(real, low), high));
    const missed = f32x4.splat(load<f32>(x + at) - ((code - behind) * scale - before));
    // Entries on and below the diagonal are 0.
    for (let to = (at + 4) & ~15; to < all; to += 16) {
      const share = f32x4.mul(missed, v128.load(shares + to));
      v128.store(made + to, f32x4.add(v128.load(made + to), share));
    }
    shares += row;
  }
}

/** The share of a group's range that leaves the least squared error, the first of equals: `FIT_SHARES`. */
function bestShare(page: Page, x: usize, end: usize, least: f32, most: f32): f32 {
  let best: f32 = 1;
  let error = errorOf(page, x, end, least, most, 1);
  // The decimal numbers that the reference has, for a product of steps would round otherwise.
  for (let at = 1; at < 5; at++) {
    const share: f32 = at == 1 ? 0.96 : at == 2 ? 0.92 : at == 3 ? 0.88 : 0.84;
    const tried = errorOf(page, x, end, least, most, share);
    if (tried < error) {
      error = tried;
      best = share;
    }
  }
  return best;
}

/** The squared error of a group's codes under a share of its range, summed by fours. */
function errorOf(page: Page, x: usize, end: usize, least: f32, most: f32, share: f32): f32 {
  least *= share;
  most *= share;
  const scale = scaleOf(page, least, most);
  const zero = zeroOf(page, least, scale);
  const before = f32x4.splat(page.zero == POST_SCALE ? zero : 0);
  const behind = f32x4.splat(page.zero == PRE_SCALE ? zero : 0);
  const divisor = f32x4.splat(scale);
  const high = f32x4.splat(highest(page));
  const low = page.zero == NONE ? f32x4.neg(high) : f32x4.splat(0);
  let sums = f32x4.splat(0);
  for (; x < end; x += 16) {
    const values = v128.load(x);
    const real = f32x4.add(f32x4.div(f32x4.add(values, before), divisor), behind);
    const code = f32x4.nearest(f32x4.pmin(f32x4.pmax(real, low), high));
    const made = f32x4.sub(f32x4.mul(f32x4.sub(code, behind), divisor), before);
    const off = f32x4.sub(values, made);
    sums = f32x4.add(sums, f32x4.mul(off, off));
  }
  return (f32x4.extract_lane(sums, 0) + f32x4.extract_lane(sums, 1)) +
    (f32x4.extract_lane(sums, 2) + f32x4.extract_lane(sums, 3));
}

/** Writes the codes of a group and gives where the next ones begin. */
function appendCodes(
  page: Page,
  x: usize,
  end: usize,
  codes: usize,
  scale: f32,
  zero: f32,
): usize {
  // A zero point is added before the division or behind it.
  const before = f32x4.splat(page.zero == POST_SCALE ? zero : 0);
  const behind = f32x4.splat(page.zero == PRE_SCALE ? zero : 0);
  const divisor = f32x4.splat(scale);
  const high = f32x4.splat(highest(page));
  const low = page.zero == NONE ? f32x4.neg(high) : f32x4.splat(0);
  if (page.bits == 4) {
    const mask = i32x4.splat(0xf);
    for (; x < end; x += 32) {
      const left = codesOf(v128.load(x), before, divisor, behind, low, high, mask);
      const right = x + 16 < end
        ? codesOf(v128.load(x, 16), before, divisor, behind, low, high, mask)
        : i32x4.splat(0);
      // The second of two neighbours is the upper half of a byte.
      const eight = i16x8.narrow_i32x4_s(left, right);
      const bytes = i32x4.dot_i16x8_s(eight, i16x8(1, 16, 1, 16, 1, 16, 1, 16));
      const pairs = i16x8.narrow_i32x4_s(bytes, bytes);
      v128.store32_lane(codes, i8x16.narrow_i16x8_u(pairs, pairs), 0);
      codes += 4;
    }
  } else {
    const mask = i32x4.splat(0xff);
    for (; x < end; x += 32) {
      const left = codesOf(v128.load(x), before, divisor, behind, low, high, mask);
      const right = x + 16 < end
        ? codesOf(v128.load(x, 16), before, divisor, behind, low, high, mask)
        : i32x4.splat(0);
      const eight = i16x8.narrow_i32x4_s(left, right);
      v128.store64_lane(codes, i8x16.narrow_i16x8_u(eight, eight), 0);
      codes += 8;
    }
  }
  return codes;
}

/** The integers of four codes, as many bits of them as the mask has. */
function codesOf(
  values: v128,
  before: v128,
  divisor: v128,
  behind: v128,
  low: v128,
  high: v128,
  mask: v128,
): v128 {
  const real = f32x4.add(f32x4.div(f32x4.add(values, before), divisor), behind);
  const inside = f32x4.pmin(f32x4.pmax(real, low), high);
  return v128.and(f32x4.add(inside, f32x4.splat(INTEGERS)), mask);
}

function highest(page: Page): f32 {
  return <f32> ((1 << (page.zero == NONE ? page.bits - 1 : page.bits)) - 1);
}

function scaleOf(page: Page, least: f32, most: f32): f32 {
  let span = most - least;
  if (page.zero == NONE) span = max(-least, most);
  if (page.zero == PRE_SCALE) span = max<f32>(most, 0) - min<f32>(least, 0);
  const scale = roundedToHalf(abs(span / highest(page)));
  return scale == 0 ? 1 : scale;
}

function zeroOf(page: Page, least: f32, scale: f32): f32 {
  if (page.zero == NONE) return 0;
  if (page.zero == PRE_SCALE) {
    const zero = nearest<f32>(0 - min<f32>(least, 0) / scale);
    return min(zero, highest(page));
  }
  // No negative zero: it has other bits.
  return roundedToHalf(0 - least) + 0;
}

function leastOf(x: usize, end: usize): f32 {
  let least = v128.load(x);
  for (; x < end; x += 16) least = f32x4.pmin(least, v128.load(x));
  const low = min(f32x4.extract_lane(least, 0), f32x4.extract_lane(least, 1));
  return min(low, min(f32x4.extract_lane(least, 2), f32x4.extract_lane(least, 3)));
}

function mostOf(x: usize, end: usize): f32 {
  let most = v128.load(x);
  for (; x < end; x += 16) most = f32x4.pmax(most, v128.load(x));
  const high = max(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1));
  return max(high, max(f32x4.extract_lane(most, 2), f32x4.extract_lane(most, 3)));
}
