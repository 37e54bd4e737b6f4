import { expandNibbles, wraps } from "./parts/byte_weights";
import { nibbleTile } from "./parts/nibble_tile";
import { copyRow, packRow, putSums, sumBytes, widenBytes } from "./parts/packed_rows";
import { shortTile } from "./parts/short_tile";

@unmanaged
class Args {
  x: usize;
  x_rows: usize;
  weight: usize;
  w_rows: usize;
  groups: usize;
  y: usize;
  bias: usize;
  rows: u32;
  inner: u32;
  columns: u32;
  column: u32;
  row: u32;
  stride: u32;
  group: u32;
  nibbles: u32;
  /** Rows and columns of a task. */
  task_rows: u32;
  task_columns: u32;
}

/** Sums of four rows by four columns. */
const SUMS_BYTES: usize = 64;

/**
 * A block of rows and columns is a task. Its rows are packed once, then each four columns go by all of
 * them, so that a weight is read once from far. Sums are exact.
 */
export function matmulInt8(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const across = (args.columns + args.task_columns - 1) / args.task_columns;
  const first = (task / across) * args.task_rows;
  const rows: usize = min(args.task_rows, args.rows - first);
  let column = (task % across) * args.task_columns;
  const end = min(column + args.task_columns, args.columns);

  const inner: usize = args.inner;
  const padded = (inner + 63) & ~63;
  const groups: usize = args.groups ? inner / args.group : 0;
  const stride = padded + sumBytes(groups);
  const packed = scratch + SUMS_BYTES;
  const short = packed + rows * stride;
  const weights = short + rows * padded * 2;
  for (let m: usize = 0; m < rows; m++) {
    const from = args.x + (first + m) * inner;
    const to = packed + m * stride;
    if (args.nibbles) packRow(from, inner, to, padded);
    else copyRow(from, inner, to, padded);
    if (groups) putSums(to, args.group, groups, to + padded);
  }

  let widened = false;
  for (; column < end; column += 4) {
    const count = min(4, end - column);
    if (ASC_FEATURE_RELAXED_SIMD && inNibbles(args, column, count, groups)) {
      nibbleColumns(args, first, rows, column, count, packed, stride, scratch);
      continue;
    }
    if (!widened) {
      for (let m: usize = 0; m < rows; m++) {
        widenBytes(packed + m * stride, padded, short + m * padded * 2);
      }
      widened = true;
    }
    expand(args, column, count, padded, weights);
    shortColumns(args, first, rows, column, count, short, weights, padded * 2, scratch);
  }
}

/** Whether products with the nibbles themselves are enough. */
function inNibbles(args: Args, column: u32, count: u32, groups: usize): bool {
  if (!args.nibbles || groups && args.group % 64 !== 0) return false;
  for (let n: u32 = 0; groups && n < count; n++) {
    const codes = codesOf(args, column + n);
    if (wraps(codes, groupsOf(args, column + n), args.group, groups)) return false;
  }
  return true;
}

function codesOf(args: Args, column: u32): usize {
  const bytes = args.nibbles ? args.inner / 2 : args.inner;
  return args.weight + <usize> (args.row + column) * bytes;
}

function groupsOf(args: Args, column: u32): usize {
  return args.groups + <usize> (args.row + column) * groupBytes(args);
}

/** Whole words a row. */
function groupBytes(args: Args): usize {
  return (args.inner / args.group + 1) / 2 * 4;
}

function expand(args: Args, column: u32, count: u32, padded: usize, to: usize): void {
  for (let n: u32 = 0; n < count; n++) {
    const codes = codesOf(args, column + n);
    const out = to + n * padded * 2;
    if (!args.nibbles) widenBytes(codes, padded, out);
    else {
      const groups = args.groups ? groupsOf(args, column + n) : 0;
      expandNibbles(codes, groups, args.group, padded, out);
    }
  }
}

function nibbleColumns(
  args: Args,
  first: u32,
  rows: usize,
  column: u32,
  count: u32,
  packed: usize,
  stride: usize,
  sums: usize,
): void {
  // A column that is missing is another one.
  const second = min(1, count - 1);
  const third = min(2, count - 1);
  const fourth = count - 1;
  const c0 = codesOf(args, column);
  const c1 = codesOf(args, column + second);
  const c2 = codesOf(args, column + third);
  const c3 = codesOf(args, column + fourth);
  const bytes = groupBytes(args);
  const g0 = args.groups ? groupsOf(args, column) : 0;
  const g1 = args.groups ? g0 + second * bytes : 0;
  const g2 = args.groups ? g0 + third * bytes : 0;
  const g3 = args.groups ? g0 + fourth * bytes : 0;
  const groups: usize = args.groups ? args.inner / args.group : 1;
  const group: usize = args.groups ? args.group : stride;
  let m: usize = 0;
  for (; m + 4 <= rows; m += 4) {
    const x = packed + m * stride;
    nibbleTile<u32>(x, stride, c0, c1, c2, c3, g0, g1, g2, g3, group, groups, sums);
    finish(args, first + <u32> m, 4, column, count, sums);
  }
  if (m + 2 <= rows) {
    const x = packed + m * stride;
    nibbleTile<u16>(x, stride, c0, c1, c2, c3, g0, g1, g2, g3, group, groups, sums);
    finish(args, first + <u32> m, 2, column, count, sums);
    m += 2;
  }
  if (m < rows) {
    const x = packed + m * stride;
    nibbleTile<u8>(x, stride, c0, c1, c2, c3, g0, g1, g2, g3, group, groups, sums);
    finish(args, first + <u32> m, 1, column, count, sums);
  }
}

function shortColumns(
  args: Args,
  first: u32,
  rows: usize,
  column: u32,
  count: u32,
  short: usize,
  c0: usize,
  bytes: usize,
  sums: usize,
): void {
  const c1 = c0 + min(1, count - 1) * bytes;
  const c2 = c0 + min(2, count - 1) * bytes;
  const c3 = c0 + (count - 1) * bytes;
  let m: usize = 0;
  for (; m + 4 <= rows; m += 4) {
    shortTile<u32>(short + m * bytes, bytes, c0, c1, c2, c3, bytes, sums);
    finish(args, first + <u32> m, 4, column, count, sums);
  }
  if (m + 2 <= rows) {
    shortTile<u16>(short + m * bytes, bytes, c0, c1, c2, c3, bytes, sums);
    finish(args, first + <u32> m, 2, column, count, sums);
    m += 2;
  }
  if (m < rows) {
    shortTile<u8>(short + m * bytes, bytes, c0, c1, c2, c3, bytes, sums);
    finish(args, first + <u32> m, 1, column, count, sums);
  }
}

/** Scales sums of rows, four columns each, and writes `count` of them. */
function finish(args: Args, first: u32, rows: u32, column: u32, count: u32, sums: usize): void {
  const pairs = args.w_rows + <usize> (args.row + column) * 8;
  const two = v128.load(pairs);
  const more = v128.load(pairs, 16);
  const scales = v128.shuffle<f32>(two, more, 0, 2, 4, 6);
  const zeros = v128.shuffle<f32>(two, more, 1, 3, 5, 7);
  const out = args.column + column;
  for (let m: u32 = 0; m < rows; m++) {
    const row: usize = first + m;
    const scale = v128.load32_splat(args.x_rows + row * 8);
    const sum = f32x4.convert_i32x4_s(v128.load(sums + 16 * <usize> m));
    let value = f32x4.mul(f32x4.mul(sum, scales), scale);
    if (args.nibbles && !args.groups) {
      value = f32x4.sub(value, f32x4.mul(zeros, v128.load32_splat(args.x_rows + row * 8, 4)));
    }
    if (args.bias) value = f32x4.add(value, v128.load(args.bias + <usize> out * 4));
    const y = args.y + (row * args.stride + out) * 4;
    if (count === 4) v128.store(y, value);
    else {
      store<f32>(y, f32x4.extract_lane(value, 0));
      if (count > 1) store<f32>(y, f32x4.extract_lane(value, 1), 4);
      if (count > 2) store<f32>(y, f32x4.extract_lane(value, 2), 8);
    }
  }
}
