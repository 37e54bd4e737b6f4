import { multiplyAdd, sumOf } from "./floats";

/** Puts a sum, with its bias where there is one. */
export function put(y: usize, sum: f32, bias: usize, n: usize): void {
  store<f32>(y + n * 4, bias ? sum + load<f32>(bias + n * 4) : sum);
}

/**
 * Rows of floats by rows of floats into `y`. Every value is the sum of four chains, one for each
 * remainder of the inner index by four, whatever the block: its bits depend on its operands alone.
 */
export function block(
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

/** Puts four sums side by side, each with its bias. */
export function putFour(y: usize, s0: v128, s1: v128, s2: v128, s3: v128, bias: usize): void {
  put(y, sumOf(s0), bias, 0);
  put(y, sumOf(s1), bias, 1);
  put(y, sumOf(s2), bias, 2);
  put(y, sumOf(s3), bias, 3);
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
