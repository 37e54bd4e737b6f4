import { exp1, EXP_TABLE_BYTES, expFallingBy4, expTable } from "./parts/exp";
import { multiplyAdd } from "./parts/floats";
import { before, placeOf, preciseSum, survey } from "./parts/row";

@unmanaged
class Args {
  baseline: usize;
  logits: usize;
  targets: usize;
  state: usize;
  top: usize;
  columns: u32;
  column: u32;
  first: u32;
}

/** A row of `state`. */
@unmanaged
class State {
  largest_p: f32;
  sum_p: f32;
  weighted: f32;
  largest_q: f32;
  sum_q: f32;
  target_p: f32;
  target_q: f32;
}

/** Columns whose terms are added in single precision. */
const PART: u32 = 1024;

/** A row is a task. */
export function divergence(at: usize, row: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const columns = args.columns;
  const p = args.baseline + <usize> row * columns * 4;
  const q = args.logits + <usize> row * columns * 4;
  const state = changetype<State>(args.state + <usize> row * offsetof<State>());
  if (args.first) {
    memory.fill(changetype<usize>(state), 0, offsetof<State>());
    state.largest_p = -Infinity;
    state.largest_q = -Infinity;
  }
  const maxima = scratch + EXP_TABLE_BYTES;
  expTable(scratch);
  const top = args.top + <usize> row * 8;
  const largest_p = raised(state.largest_p, p, args, top, maxima);
  const largest_q = raised(state.largest_q, q, args, top + 4, maxima);
  const kept_p = exp1(state.largest_p - largest_p);
  const kept_q = exp1(state.largest_q - largest_q);
  state.sum_p *= kept_p;
  state.weighted *= kept_p;
  state.sum_q *= kept_q;
  state.largest_p = largest_p;
  state.largest_q = largest_q;
  fold(state, p, q, columns, scratch);
  // A target before `column` wraps to a large offset.
  const offset = load<u32>(args.targets + <usize> row * 4) - args.column;
  if (offset < columns) {
    state.target_p = load<f32>(p + <usize> offset * 4);
    state.target_q = load<f32>(q + <usize> offset * 4);
  }
}

/** The largest of old and new values; writes its column where it is a new one. */
function raised(old: f32, row: usize, args: Args, top: usize, maxima: usize): f32 {
  const largest = survey(row, args.columns, maxima);
  if (!(largest > old)) return old;
  store<u32>(top, args.column + placeOf(largest, row, args.columns, maxima));
  return largest;
}

/** Adds the terms of all columns to the sums of a row. */
function fold(state: State, p: usize, q: usize, columns: u32, table: usize): void {
  const most_p = f32x4.splat(state.largest_p);
  const most_q = f32x4.splat(state.largest_q);
  let sum_p: f64 = state.sum_p;
  let weighted: f64 = state.weighted;
  let sum_q: f64 = state.sum_q;
  for (let from: u32 = 0; from < columns; from += PART) {
    const end = min(from + PART, columns);
    let a_p = f32x4.splat(0);
    let b_p = a_p;
    let a_w = a_p;
    let b_w = a_p;
    let a_q = a_p;
    let b_q = a_p;
    let at = from;
    for (; at + 8 <= end; at += 8) {
      const left = p + <usize> at * 4;
      const right = q + <usize> at * 4;
      const p0 = v128.load(left);
      const p1 = v128.load(left, 16);
      const q0 = v128.load(right);
      const q1 = v128.load(right, 16);
      const e0 = expFallingBy4(table, f32x4.sub(p0, most_p));
      const e1 = expFallingBy4(table, f32x4.sub(p1, most_p));
      a_p = f32x4.add(a_p, e0);
      b_p = f32x4.add(b_p, e1);
      a_w = multiplyAdd(e0, f32x4.sub(p0, q0), a_w);
      b_w = multiplyAdd(e1, f32x4.sub(p1, q1), b_w);
      a_q = f32x4.add(a_q, expFallingBy4(table, f32x4.sub(q0, most_q)));
      b_q = f32x4.add(b_q, expFallingBy4(table, f32x4.sub(q1, most_q)));
    }
    for (; at < end; at += 4) {
      const inside = end - at < 4 ? before(end - at) : i32x4.splat(-1);
      const p0 = v128.load(p + <usize> at * 4);
      const q0 = v128.load(q + <usize> at * 4);
      const e0 = v128.and(inside, expFallingBy4(table, f32x4.sub(p0, most_p)));
      a_p = f32x4.add(a_p, e0);
      a_w = f32x4.add(a_w, v128.and(inside, f32x4.mul(e0, f32x4.sub(p0, q0))));
      a_q = f32x4.add(a_q, v128.and(inside, expFallingBy4(table, f32x4.sub(q0, most_q))));
    }
    sum_p += preciseSum(f32x4.add(a_p, b_p));
    weighted += preciseSum(f32x4.add(a_w, b_w));
    sum_q += preciseSum(f32x4.add(a_q, b_q));
  }
  state.sum_p = <f32> sum_p;
  state.weighted = <f32> weighted;
  state.sum_q = <f32> sum_q;
}
