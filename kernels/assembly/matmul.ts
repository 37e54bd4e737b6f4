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

// @ts-ignore: decorator

function put(y: usize, sum: f32, bias: usize, n: usize): void {
  store<f32>(y + n * 4, bias ? sum + load<f32>(bias + n * 4) : sum);
}

/** Rows of floats by rows of floats. */
function block(
  x: usize,
  rows: u32,
  weight: usize,
  columns: u32,
  bytes: usize,
  y: usize,
  stride: usize,
  bias: usize,
): void {
  let m: u32 = 0;
  for (; m + 3 <= rows; m += 3) {
    const left = x + m * bytes;
    const out = y + m * stride;
    let n: u32 = 0;
    for (; n + 4 <= columns; n += 4) {
      tile(
        left,
        weight + n * bytes,
        bytes,
        out + <usize> n * 4,
        stride,
        bias ? bias + <usize> n * 4 : 0,
      );
    }
    for (; n < columns; n++) {
      for (let r: usize = 0; r < 3; r++) {
        put(out + r * stride, dot(left + r * bytes, weight + n * bytes, bytes), bias, n);
      }
    }
  }
  for (; m < rows; m++) {
    const left = x + m * bytes;
    const out = y + m * stride;
    let n: u32 = 0;
    for (; n + 4 <= columns; n += 4) {
      line(left, weight + n * bytes, bytes, out + <usize> n * 4, bias ? bias + <usize> n * 4 : 0);
    }
    for (; n < columns; n++) put(out, dot(left, weight + n * bytes, bytes), bias, n);
  }
}

function dot(a: usize, b: usize, bytes: usize): f32 {
  let sum = f32x4.splat(0);
  for (let k: usize = 0; k < bytes; k += 16) {
    sum = multiplyAdd(v128.load(a + k), v128.load(b + k), sum);
  }
  return sumOf(sum);
}

/** A row by four. */
function line(a: usize, b: usize, bytes: usize, y: usize, bias: usize): void {
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let s2 = f32x4.splat(0);
  let s3 = f32x4.splat(0);
  const b1 = b + bytes;
  const b2 = b1 + bytes;
  const b3 = b2 + bytes;
  for (let k: usize = 0; k < bytes; k += 16) {
    const left = v128.load(a + k);
    s0 = multiplyAdd(left, v128.load(b + k), s0);
    s1 = multiplyAdd(left, v128.load(b1 + k), s1);
    s2 = multiplyAdd(left, v128.load(b2 + k), s2);
    s3 = multiplyAdd(left, v128.load(b3 + k), s3);
  }
  putFour(y, s0, s1, s2, s3, bias);
}

// @ts-ignore: decorator

function putFour(y: usize, s0: v128, s1: v128, s2: v128, s3: v128, bias: usize): void {
  put(y, sumOf(s0), bias, 0);
  put(y, sumOf(s1), bias, 1);
  put(y, sumOf(s2), bias, 2);
  put(y, sumOf(s3), bias, 3);
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

/** Three rows by four. */
function tile(a: usize, b: usize, bytes: usize, y: usize, stride: usize, bias: usize): void {
  let s00 = f32x4.splat(0);
  let s01 = f32x4.splat(0);
  let s02 = f32x4.splat(0);
  let s03 = f32x4.splat(0);
  let s10 = f32x4.splat(0);
  let s11 = f32x4.splat(0);
  let s12 = f32x4.splat(0);
  let s13 = f32x4.splat(0);
  let s20 = f32x4.splat(0);
  let s21 = f32x4.splat(0);
  let s22 = f32x4.splat(0);
  let s23 = f32x4.splat(0);
  const a1 = a + bytes;
  const a2 = a1 + bytes;
  const b1 = b + bytes;
  const b2 = b1 + bytes;
  const b3 = b2 + bytes;
  for (let k: usize = 0; k < bytes; k += 16) {
    const l0 = v128.load(a + k);
    const l1 = v128.load(a1 + k);
    const l2 = v128.load(a2 + k);
    let right = v128.load(b + k);
    s00 = multiplyAdd(l0, right, s00);
    s10 = multiplyAdd(l1, right, s10);
    s20 = multiplyAdd(l2, right, s20);
    right = v128.load(b1 + k);
    s01 = multiplyAdd(l0, right, s01);
    s11 = multiplyAdd(l1, right, s11);
    s21 = multiplyAdd(l2, right, s21);
    right = v128.load(b2 + k);
    s02 = multiplyAdd(l0, right, s02);
    s12 = multiplyAdd(l1, right, s12);
    s22 = multiplyAdd(l2, right, s22);
    right = v128.load(b3 + k);
    s03 = multiplyAdd(l0, right, s03);
    s13 = multiplyAdd(l1, right, s13);
    s23 = multiplyAdd(l2, right, s23);
  }
  putFour(y, s00, s01, s02, s03, bias);
  putFour(y + stride, s10, s11, s12, s13, bias);
  putFour(y + 2 * stride, s20, s21, s22, s23, bias);
}
