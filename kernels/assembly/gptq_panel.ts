import {
  addFeedback,
  gather,
  LINE,
  MATRIX_BYTES,
  ROWS,
  turnIn,
  turnOut,
} from "./parts/panel_lines";

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
