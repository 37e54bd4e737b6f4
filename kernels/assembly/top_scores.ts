import { EXP_TABLE_BYTES, expTable } from "./parts/exp";
import { BLOCK, exponentials, four, survey } from "./parts/row";

@unmanaged
class Args {
  logits: usize;
  tokens: usize;
  scores: usize;
  likeliest: usize;
  norms: usize;
  columns: u32;
  count: u32;
}

/** A row is a task. */
export function topScores(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const columns = args.columns;
  const row = args.logits + <usize> task * columns * 4;
  const maxima = scratch + EXP_TABLE_BYTES;
  const largest = survey(row, columns, maxima);
  expTable(scratch);
  const norms = args.norms + <usize> task * 8;
  store<f32>(norms, largest);
  store<f32>(norms, <f32> exponentials(row, columns, largest, scratch), 4);
  const first = <usize> task * (args.count + 1) * 4;
  const token = load<u32>(args.tokens + <usize> task * 4);
  store<u32>(args.likeliest + first, token);
  store<f32>(args.scores + first, load<f32>(row + <usize> min(token, columns - 1) * 4));
  if (args.count) {
    list(row, columns, maxima, args.scores + first + 4, args.likeliest + first + 4, args.count);
  }
}

/** The `count` largest values of a row and their places, in order; the first of equals first. */
function list(
  row: usize,
  columns: u32,
  maxima: usize,
  values: usize,
  places: usize,
  count: u32,
): void {
  let held: u32 = 0;
  // What is not larger than the last one listed stays out.
  let least: f32 = -Infinity;
  for (let from: u32 = 0; from < columns; from += BLOCK) {
    if (held === count && !(load<f32>(maxima + <usize> (from / BLOCK) * 4) > least)) continue;
    const end = min(from + BLOCK, columns);
    for (let at = from; at < end; at += 4) {
      let larger = i32x4.bitmask(f32x4.gt(four(row, at, end), f32x4.splat(least)));
      if (held < count) larger = (1 << min(4, end - at)) - 1;
      for (; larger; larger &= larger - 1) {
        const place = at + ctz(larger);
        const value = load<f32>(row + <usize> place * 4);
        if (held === count && !(value > least)) continue;
        if (held < count) held++;
        insert(values, places, held, value, place);
        if (held === count) least = load<f32>(values + <usize> (count - 1) * 4);
      }
    }
  }
}

/** Puts a value behind those that are as large; the last one falls out. */
function insert(values: usize, places: usize, held: u32, value: f32, place: u32): void {
  let at = <usize> (held - 1) * 4;
  for (; at > 0 && load<f32>(values + at - 4) < value; at -= 4) {
    store<f32>(values + at, load<f32>(values + at - 4));
    store<u32>(places + at, load<u32>(places + at - 4));
  }
  store<f32>(values + at, value);
  store<u32>(places + at, place);
}
