import { SCRATCH_BYTES } from "../device/cpu/protocol";
import { countBound, HEAD_BYTES, listFrom, massBound } from "./parts/bounds";
import { exp1 } from "./parts/exp";
import { log1, log4 } from "./parts/log";
import { BLOCK, blocksOf, four, largestOf, placeOf, survey } from "./parts/row";

@unmanaged
class Args {
  logits: usize;
  settings: usize;
  tokens: usize;
  columns: u32;
  choices: u32;
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
/** So many values noise has; and by how many of them single precision may be wrong. */
const STEPS: f32 = 8388608;
const ROUNDED_STEPS = 64;

/** A row is a task. */
export function sample(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const row = args.logits + <usize> task * args.columns * 4;
  const columns = args.choices;
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
  const room = <u32> ((SCRATCH_BYTES - head - HEAD_BYTES) / 12) & ~15;
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
  let best = f32x4.extract_lane(noise(words(start, i32x4.splat(top))), 0);
  for (let from: u32 = 0; from < columns; from += BLOCK) {
    const here = load<f32>(maxima + <usize> (from / BLOCK) * 4);
    const missing = best - (here - largest) * scale;
    if (!(here >= bound) || missing > MOST_NOISE) continue;
    const enough = i32x4.splat(leastWord(missing));
    const end = min(from + BLOCK, columns);
    for (let at = from; at < end; at += 4) {
      const values = four(row, at, end);
      let kept = f32x4.ge(values, least);
      if (!v128.any_true(kept)) continue;
      const drawn = words(start, i32x4.add(i32x4.splat(at), i32x4(0, 1, 2, 3)));
      kept = v128.and(kept, i32x4.ge_s(drawn, enough));
      if (!v128.any_true(kept)) continue;
      const x = f32x4.mul(f32x4.sub(values, most), f32x4.splat(scale));
      const sums = v128.bitselect(f32x4.add(x, noise(drawn)), f32x4.splat(-Infinity), kept);
      const larger = largestOf(sums);
      if (!(larger > best)) continue;
      best = larger;
      token = at + ctz(i32x4.bitmask(f32x4.eq(sums, f32x4.splat(best))));
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

/** The random words of four tokens, of 23 bits, the same whatever else is in the batch. */
function words(start: v128, tokens: v128): v128 {
  const spread = i32x4.mul(tokens, i32x4.splat(0x9e3779b9));
  return i32x4.shr_u(scramble4(i32x4.add(start, spread)), 9);
}

/** Gumbel noise of four words; it rises with them. */
function noise(words: v128): v128 {
  // A half more: never 0, never 1.
  const steps = f32x4.add(f32x4.convert_i32x4_s(words), f32x4.splat(0.5));
  const uniform = f32x4.mul(steps, f32x4.splat(1.0 / STEPS));
  return f32x4.neg(log4(f32x4.neg(log4(uniform))));
}

/** A word below which all noise is less, with room for what rounding does. */
function leastWord(noise: f32): i32 {
  return <i32> (exp1(-exp1(-noise)) * STEPS) - ROUNDED_STEPS;
}
