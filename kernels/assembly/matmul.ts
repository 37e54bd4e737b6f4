import { block, put, putFour } from "./parts/float_product";
import { multiplyAdd, sumOf, widened } from "./parts/floats";

@unmanaged
class Args {
  x: usize;
  weight: usize;
  y: usize;
  bias: usize;
  rows: u32;
  inner: u32;
  columns: u32;
  column: u32;
  row: u32;
  stride: u32;
  half: u32;
  /** Rows and columns of a task. */
  task_rows: u32;
  task_columns: u32;
}

/**
 * A block of rows and columns is a task. Every value is the sum of four chains, one for each
 * remainder of the inner index by four, whatever the block: its bits depend on its operands alone.
 */
export function matmul(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const across = (args.columns + args.task_columns - 1) / args.task_columns;
  const firstRow = (task / across) * args.task_rows;
  const firstColumn = (task % across) * args.task_columns;
  const rows = min(args.task_rows, args.rows - firstRow);
  const columns = min(args.task_columns, args.columns - firstColumn);
  const bytes = <usize> args.inner * 4;
  const x = args.x + firstRow * bytes;
  const column = args.column + firstColumn;
  const y = args.y + (<usize> firstRow * args.stride + column) * 4;
  const stride = <usize> args.stride * 4;
  const bias = args.bias ? args.bias + <usize> column * 4 : 0;
  const from = <usize> (args.row + firstColumn);
  if (!args.half) {
    block(x, rows, args.weight + from * bytes, columns, bytes, y, stride, bias);
  } else if (rows <= 2) {
    const weight = args.weight + from * args.inner * 2;
    for (let m: usize = 0; m < rows; m++) {
      halves(x + m * bytes, weight, columns, bytes, y + m * stride, bias);
    }
  } else {
    widen(args.weight + from * args.inner * 2, <usize> columns * args.inner, scratch);
    block(x, rows, scratch, columns, bytes, y, stride, bias);
  }
}

/** Half-precision values, a multiple of eight, to single ones. */
function widen(from: usize, count: usize, to: usize): void {
  for (let i: usize = 0; i < count; i += 8) {
    v128.store(to + i * 4, widened(v128.load_ext<i16>(from + i * 2)));
    v128.store(to + i * 4, widened(v128.load_ext<i16>(from + i * 2 + 8)), 16);
  }
}

/** A row by rows of half-precision floats. */
function halves(a: usize, weight: usize, columns: u32, bytes: usize, y: usize, bias: usize): void {
  const half = bytes / 2;
  let n: u32 = 0;
  for (; n + 4 <= columns; n += 4) {
    const b = weight + n * half;
    const b1 = b + half;
    const b2 = b1 + half;
    const b3 = b2 + half;
    let s0 = f32x4.splat(0);
    let s1 = f32x4.splat(0);
    let s2 = f32x4.splat(0);
    let s3 = f32x4.splat(0);
    for (let k: usize = 0; k < half; k += 8) {
      const left = v128.load(a + 2 * k);
      s0 = multiplyAdd(left, widened(v128.load_ext<i16>(b + k)), s0);
      s1 = multiplyAdd(left, widened(v128.load_ext<i16>(b1 + k)), s1);
      s2 = multiplyAdd(left, widened(v128.load_ext<i16>(b2 + k)), s2);
      s3 = multiplyAdd(left, widened(v128.load_ext<i16>(b3 + k)), s3);
    }
    putFour(y + <usize> n * 4, s0, s1, s2, s3, bias ? bias + <usize> n * 4 : 0);
  }
  for (; n < columns; n++) {
    const b = weight + n * half;
    let sum = f32x4.splat(0);
    for (let k: usize = 0; k < half; k += 8) {
      sum = multiplyAdd(v128.load(a + 2 * k), widened(v128.load_ext<i16>(b + k)), sum);
    }
    put(y, sumOf(sum), bias, n);
  }
}
