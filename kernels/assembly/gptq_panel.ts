import { transposeFour } from "./parts/transpose";

@unmanaged
class Args {
  weight: usize;
  factor: usize;
  scales: usize;
  group: usize;
  delta: usize;
  codes: usize;
  zeros: usize;
  rows: u32;
  columns: u32;
  groups: u32;
  first: u32;
  held: u32;
  low: f32;
  high: f32;
  bound: f32;
  zero: u32;
}

/** Rows of a task, each in a lane of its own from the first sum to the last. */
const ROWS: u32 = 32;
/** Bytes of a column of a task. */
const LINE: usize = 4 * 32;
const MOST_COLUMNS: usize = 256;
const MATRIX_BYTES: usize = MOST_COLUMNS * LINE;
/** Zero domains. */
const NONE: u32 = 0;
const PRE_SCALE: u32 = 1;

/**
 * Some rows are a task; their columns lie in the thread's memory as rows. Products and sums are
 * rounded one by one and come in the reference's order.
 */
export function gptqPanel(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const row = task * ROWS;
  const rows = min(ROWS, args.rows - row);
  const next = <usize> args.columns * 4;
  const from = <usize> row * next + <usize> args.first * 4;
  const weights = scratch;
  const codes = weights + MATRIX_BYTES;
  const deltas = codes + MATRIX_BYTES;
  const scales = deltas + MATRIX_BYTES;
  const zeros = scales + LINE;
  turnIn(args.weight + from, next, rows, args.held, weights);
  turnIn(args.codes + from, next, rows, args.held, codes);
  let group: u32 = 0xffffffff;
  for (let c = <i32> args.held - 1; c >= 0; c--) {
    const here = load<u32>(args.group + <usize> (args.first + c) * 4);
    if (here != group) {
      group = here;
      const place = (<usize> row * args.groups + group) * 4;
      gather(args.scales + place, <usize> args.groups * 4, rows, scales);
      if (args.zero != NONE) gather(args.zeros + place, <usize> args.groups * 4, rows, zeros);
    }
    const line = <usize> c * LINE;
    const factor = args.factor + (<usize> c * args.columns + args.first + c) * 4;
    addFeedback(factor, deltas + line, args.held - c, codes + line);
    const pivot = v128.load_splat<f32>(factor);
    for (let r: usize = 0; r < LINE; r += 16) {
      const weight = v128.load(weights + line + r);
      const fed = f32x4.div(v128.load(codes + line + r), pivot);
      const current = clamped(f32x4.add(weight, fed), -args.bound, args.bound);
      const scale = v128.load(scales + r);
      const zero = v128.load(zeros + r);
      const code = codeOf(args, current, scale, zero);
      v128.store(codes + line + r, code);
      v128.store(deltas + line + r, f32x4.sub(weight, valueOf(args, code, scale, zero)));
    }
  }
  turnOut(codes, rows, args.held, args.codes + from, next);
  turnOut(deltas, rows, args.held, args.delta + from, next);
}

/** Adds to what later blocks feed back the products with later columns, the nearest one first. */
function addFeedback(factor: usize, deltas: usize, columns: u32, feedback: usize): void {
  let s0 = v128.load(feedback);
  let s1 = v128.load(feedback, 16);
  let s2 = v128.load(feedback, 32);
  let s3 = v128.load(feedback, 48);
  let s4 = v128.load(feedback, 64);
  let s5 = v128.load(feedback, 80);
  let s6 = v128.load(feedback, 96);
  let s7 = v128.load(feedback, 112);
  const end = factor + <usize> columns * 4;
  for (let at = factor + 4; at < end; at += 4) {
    deltas += LINE;
    const f = v128.load_splat<f32>(at);
    s0 = f32x4.add(s0, f32x4.mul(v128.load(deltas), f));
    s1 = f32x4.add(s1, f32x4.mul(v128.load(deltas, 16), f));
    s2 = f32x4.add(s2, f32x4.mul(v128.load(deltas, 32), f));
    s3 = f32x4.add(s3, f32x4.mul(v128.load(deltas, 48), f));
    s4 = f32x4.add(s4, f32x4.mul(v128.load(deltas, 64), f));
    s5 = f32x4.add(s5, f32x4.mul(v128.load(deltas, 80), f));
    s6 = f32x4.add(s6, f32x4.mul(v128.load(deltas, 96), f));
    s7 = f32x4.add(s7, f32x4.mul(v128.load(deltas, 112), f));
  }
  v128.store(feedback, s0);
  v128.store(feedback, s1, 16);
  v128.store(feedback, s2, 32);
  v128.store(feedback, s3, 48);
  v128.store(feedback, s4, 64);
  v128.store(feedback, s5, 80);
  v128.store(feedback, s6, 96);
  v128.store(feedback, s7, 112);
}

function clamped(x: v128, low: f32, high: f32): v128 {
  return f32x4.pmin(f32x4.pmax(x, f32x4.splat(low)), f32x4.splat(high));
}

function codeOf(args: Args, x: v128, scale: v128, zero: v128): v128 {
  let real: v128;
  if (args.zero == NONE) real = f32x4.div(x, scale);
  else if (args.zero == PRE_SCALE) real = f32x4.add(f32x4.div(x, scale), zero);
  else real = f32x4.div(f32x4.add(x, zero), scale);
  // No negative zero.
  const whole = f32x4.add(f32x4.nearest(real), f32x4.splat(0));
  return clamped(whole, args.low, args.high);
}

function valueOf(args: Args, code: v128, scale: v128, zero: v128): v128 {
  if (args.zero == NONE) return f32x4.mul(code, scale);
  if (args.zero == PRE_SCALE) return f32x4.mul(f32x4.sub(code, zero), scale);
  return f32x4.sub(f32x4.mul(code, scale), zero);
}

/** A value of each row; behind the last one nothing is looked at. */
function gather(from: usize, next: usize, rows: u32, to: usize): void {
  for (let r: u32 = 0; r < rows; r++) store<f32>(to + r * 4, load<f32>(from + r * next));
}

/** Columns of rows as rows; the last row stands for those behind it. */
function turnIn(from: usize, next: usize, rows: u32, columns: u32, to: usize): void {
  for (let r: u32 = 0; r < rows; r += 4) {
    const row0 = from + r * next;
    const row1 = from + min(r + 1, rows - 1) * next;
    const row2 = from + min(r + 2, rows - 1) * next;
    const row3 = from + min(r + 3, rows - 1) * next;
    for (let c: usize = 0; c < columns; c += 4) {
      const b = c * 4;
      transposeFour(row0 + b, row1 + b, row2 + b, row3 + b, to + c * LINE + r * 4, LINE);
    }
  }
}

/** Back to rows of columns. */
function turnOut(from: usize, rows: u32, columns: u32, to: usize, next: usize): void {
  for (let r: u32 = 0; r < rows; r += 4) {
    for (let c: u32 = 0; c < columns; c += 4) {
      const line = from + c * LINE + r * 4;
      const at = to + r * next + c * 4;
      if (r + 4 <= rows && c + 4 <= columns) {
        transposeFour(line, line + LINE, line + 2 * LINE, line + 3 * LINE, at, next);
        continue;
      }
      for (let i: u32 = 0; i < min<u32>(4, rows - r); i++) {
        for (let j: u32 = 0; j < min<u32>(4, columns - c); j++) {
          store<f32>(at + i * next + j * 4, load<f32>(line + j * LINE + i * 4));
        }
      }
    }
  }
}
