import { SCRATCH_BYTES } from "../device/cpu/protocol";
import { countBound, HISTOGRAM_BYTES, listFrom, massBound } from "./parts/bounds";
import { log1, log4 } from "./parts/log";
import { BLOCK, blocksOf, four, largestOf, placeOf, survey } from "./parts/row";

@unmanaged
class Args {
  logits: usize;
  settings: usize;
  tokens: usize;
  columns: u32;
}

/** What a row asks for. */
@unmanaged
class Settings {
  temperature: f32;
  top_k: u32;
  top_p: f32;
  min_p: f32;
  seed: u32;
  step: u32;
}

/** No noise is larger. */
const MOST_NOISE: f32 = 17;

/** A row is a task. */
export function sample(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const columns = args.columns;
  const row = args.logits + <usize> task * columns * 4;
  const ask = changetype<Settings>(args.settings + <usize> task * offsetof<Settings>());
  const most = survey(row, columns, scratch);
  let token = placeOf(most, row, columns, scratch);
  if (ask.temperature > 0) {
    const least = boundOf(ask, row, columns, scratch, most);
    token = drawn(ask, row, columns, scratch, token, least);
  }
  store<u32>(args.tokens + <usize> task * 4, token);
}

/** The bound of the logits that top-k, top-p and min-p leave. */
function boundOf(ask: Settings, row: usize, columns: u32, maxima: usize, most: f32): f32 {
  const blocks = blocksOf(columns);
  const head = (<usize> blocks * 4 + 63) & ~63;
  const list = maxima + head;
  const room = <u32> ((SCRATCH_BYTES - head - HISTOGRAM_BYTES) / 12) & ~15;
  let values = row;
  let count = columns;
  let least: f32 = -Infinity;
  if (ask.top_k && ask.top_k < columns) {
    // As many blocks have a value from a bound on, as many values or more.
    if (ask.top_k <= blocks) {
      const bound = countBound(maxima, blocks, ask.top_k, ask.top_k / 2 + 16);
      const listed = listFrom(bound, row, columns, maxima, list, room);
      if (listed < room) {
        values = list;
        count = listed;
      }
    }
    least = countBound(values, count, ask.top_k, 0);
  }
  if (ask.top_p < 1) {
    const space = list + <usize> room * 4;
    least = massBound(values, count, least, most, 1 / ask.temperature, ask.top_p, space, room);
  }
  if (ask.min_p > 0) least = max(least, most + log1(ask.min_p) * ask.temperature);
  return least;
}

/** The token of the largest logit with noise, among those from a bound on. */
function drawn(
  ask: Settings,
  row: usize,
  columns: u32,
  maxima: usize,
  top: u32,
  bound: f32,
): u32 {
  const start = i32x4.splat(scramble(scramble(ask.seed) ^ ask.step));
  const largest = load<f32>(row + <usize> top * 4);
  const most = f32x4.splat(largest);
  const scale: f32 = 1 / ask.temperature;
  const least = f32x4.splat(bound);
  let token = top;
  let best = f32x4.extract_lane(noise(start, i32x4.splat(top)), 0);
  for (let from: u32 = 0; from < columns; from += BLOCK) {
    const here = load<f32>(maxima + <usize> (from / BLOCK) * 4);
    if (!(here >= bound) || (here - largest) * scale + MOST_NOISE < best) continue;
    const end = min(from + BLOCK, columns);
    for (let at = from; at < end; at += 4) {
      const values = four(row, at, end);
      const x = f32x4.mul(f32x4.sub(values, most), f32x4.splat(scale));
      const near = f32x4.gt(f32x4.add(x, f32x4.splat(MOST_NOISE)), f32x4.splat(best));
      const kept = v128.and(near, f32x4.ge(values, least));
      if (!v128.any_true(kept)) continue;
      const draws = f32x4.add(x, noise(start, i32x4.add(i32x4.splat(at), i32x4(0, 1, 2, 3))));
      const better = v128.and(kept, f32x4.gt(draws, f32x4.splat(best)));
      if (!v128.any_true(better)) continue;
      const all = v128.bitselect(draws, f32x4.splat(-Infinity), better);
      best = largestOf(all);
      token = at + ctz(i32x4.bitmask(f32x4.eq(all, f32x4.splat(best))));
    }
  }
  return token;
}

/** The finalizer of MurmurHash3: every bit of the input reaches every bit of the output. */
function scramble(word: u32): u32 {
  let h = (word ^ (word >> 16)) * 0x85ebca6b;
  h = (h ^ (h >> 13)) * 0xc2b2ae35;
  return h ^ (h >> 16);
}

function scramble4(words: v128): v128 {
  let h = i32x4.mul(v128.xor(words, i32x4.shr_u(words, 16)), i32x4.splat(0x85ebca6b));
  h = i32x4.mul(v128.xor(h, i32x4.shr_u(h, 13)), i32x4.splat(0xc2b2ae35));
  return v128.xor(h, i32x4.shr_u(h, 16));
}

/** Gumbel noise of four tokens, the same whatever else is in the batch. */
function noise(start: v128, tokens: v128): v128 {
  const words = scramble4(i32x4.add(start, i32x4.mul(tokens, i32x4.splat(0x9e3779b9))));
  // 23 bits and a half: never 0, never 1.
  const whole = f32x4.convert_i32x4_s(i32x4.shr_u(words, 9));
  const uniform = f32x4.mul(f32x4.add(whole, f32x4.splat(0.5)), f32x4.splat(1.0 / 8388608.0));
  return f32x4.neg(log4(f32x4.neg(log4(uniform))));
}
