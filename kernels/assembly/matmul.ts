import {
  addProducts,
  beginProduct,
  DEEP,
  PANEL_STEP,
  panelColumn,
  put,
  putProducts,
} from "./parts/float_product";
import {
  multiplyAdd,
  sumOf,
  sumsOf,
  WIDEN_TABLE_BYTES,
  widenedBy,
  widenTable,
} from "./parts/floats";

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

/** A block of rows and columns is a task; `Product` has the order of sums, of a row alone too. */
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
  const bias = args.bias ? args.bias + <usize> column * 4 : 0;
  const next = args.half ? bytes / 2 : bytes;
  const weight = args.weight + (args.row + firstColumn) * next;
  widenTable(scratch);
  if (rows == 1) {
    if (args.half) line<u16>(x, weight, columns, next, scratch, y, bias);
    else line<f32>(x, weight, columns, next, scratch, y, bias);
    return;
  }
  const product = beginProduct(scratch + WIDEN_TABLE_BYTES, rows, columns);
  for (let from: u32 = 0; from < args.inner; from += DEEP) {
    const deep = min(DEEP, args.inner - from);
    for (let n: u32 = 0; n < columns; n++) {
      const to = panelColumn(product, n, deep);
      if (args.half) pack<u16>(weight + n * next + <usize> from * 2, deep, scratch, to);
      else pack<f32>(weight + n * next + <usize> from * 4, deep, scratch, to);
    }
    addProducts(product, x + <usize> from * 4, bytes, deep);
  }
  putProducts(product, y, <usize> args.stride * 4, bias);
}

/** Some values, a multiple of eight, to a column of a panel. */
function pack<T>(from: usize, count: u32, table: usize, to: usize): void {
  const bits = v128.load(table);
  const factor = v128.load(table, 16);
  const beyond = v128.load(table, 32);
  const infinite = v128.load(table, 48);
  const end = from + <usize> count * sizeof<T>();
  for (; from < end; from += 4 * sizeof<T>()) {
    v128.store(to, four<T>(from, bits, factor, beyond, infinite));
    to += PANEL_STEP;
  }
}

/** Four values as floats. */
function four<T>(at: usize, bits: v128, factor: v128, beyond: v128, infinite: v128): v128 {
  if (sizeof<T>() == 4) return v128.load(at);
  return widenedBy(v128.load_ext<i16>(at), bits, factor, beyond, infinite);
}

/**
 * A row by four of half precision, with the sums of `line`; gives whether all of them are finite, for
 * else the sums are wrong. A half moved to the top of a word keeps its sign when it moves down again.
 */
function finiteLine(
  x: usize,
  b0: usize,
  next: usize,
  bits: v128,
  factor: v128,
  y: usize,
  bias: usize,
): bool {
  const zero = i16x8.splat(0);
  let most = zero;
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let s2 = f32x4.splat(0);
  let s3 = f32x4.splat(0);
  let b1 = b0 + next;
  let b2 = b1 + next;
  let b3 = b2 + next;
  for (const last = b1; b0 < last; b0 += 16) {
    const left = v128.load(x);
    const right = v128.load(x, 16);
    let halves = v128.load(b0);
    most = i16x8.max_u(most, i16x8.shl(halves, 1));
    s0 = multiplyAdd(left, lowHalves(zero, halves, bits, factor), s0);
    s0 = multiplyAdd(right, highHalves(zero, halves, bits, factor), s0);
    halves = v128.load(b1);
    most = i16x8.max_u(most, i16x8.shl(halves, 1));
    s1 = multiplyAdd(left, lowHalves(zero, halves, bits, factor), s1);
    s1 = multiplyAdd(right, highHalves(zero, halves, bits, factor), s1);
    halves = v128.load(b2);
    most = i16x8.max_u(most, i16x8.shl(halves, 1));
    s2 = multiplyAdd(left, lowHalves(zero, halves, bits, factor), s2);
    s2 = multiplyAdd(right, highHalves(zero, halves, bits, factor), s2);
    halves = v128.load(b3);
    most = i16x8.max_u(most, i16x8.shl(halves, 1));
    s3 = multiplyAdd(left, lowHalves(zero, halves, bits, factor), s3);
    s3 = multiplyAdd(right, highHalves(zero, halves, bits, factor), s3);
    x += 32;
    b1 += 16;
    b2 += 16;
    b3 += 16;
  }
  if (v128.any_true(i16x8.ge_u(most, i16x8.splat(<i16> 0xf800)))) return false;
  const sums = sumsOf(s0, s1, s2, s3);
  v128.store(y, bias ? f32x4.add(sums, v128.load(bias)) : sums);
  return true;
}

function lowHalves(zero: v128, halves: v128, bits: v128, factor: v128): v128 {
  const high = v128.shuffle<i16>(zero, halves, 0, 8, 1, 9, 2, 10, 3, 11);
  return f32x4.mul(v128.and(i32x4.shr_s(high, 3), bits), factor);
}

function highHalves(zero: v128, halves: v128, bits: v128, factor: v128): v128 {
  const high = v128.shuffle<i16>(zero, halves, 4, 12, 5, 13, 6, 14, 7, 15);
  return f32x4.mul(v128.and(i32x4.shr_s(high, 3), bits), factor);
}

/** A row by rows of the weight, `next` bytes each. */
function line<T>(
  x: usize,
  weight: usize,
  columns: u32,
  next: usize,
  table: usize,
  y: usize,
  bias: usize,
): void {
  const bits = v128.load(table);
  const factor = v128.load(table, 16);
  const beyond = v128.load(table, 32);
  const infinite = v128.load(table, 48);
  const end = weight + columns * next;
  for (; weight + 4 * next <= end; weight += 4 * next) {
    if (sizeof<T>() == 2 && next % 16 == 0 && finiteLine(x, weight, next, bits, factor, y, bias)) {
      y += 16;
      if (bias) bias += 16;
      continue;
    }
    let a = x;
    let b0 = weight;
    let b1 = b0 + next;
    let b2 = b1 + next;
    let b3 = b2 + next;
    let s0 = f32x4.splat(0);
    let s1 = f32x4.splat(0);
    let s2 = f32x4.splat(0);
    let s3 = f32x4.splat(0);
    for (const last = b1; b0 < last; b0 += 4 * sizeof<T>()) {
      const left = v128.load(a);
      s0 = multiplyAdd(left, four<T>(b0, bits, factor, beyond, infinite), s0);
      s1 = multiplyAdd(left, four<T>(b1, bits, factor, beyond, infinite), s1);
      s2 = multiplyAdd(left, four<T>(b2, bits, factor, beyond, infinite), s2);
      s3 = multiplyAdd(left, four<T>(b3, bits, factor, beyond, infinite), s3);
      a += 16;
      b1 += 4 * sizeof<T>();
      b2 += 4 * sizeof<T>();
      b3 += 4 * sizeof<T>();
    }
    const sums = sumsOf(s0, s1, s2, s3);
    v128.store(y, bias ? f32x4.add(sums, v128.load(bias)) : sums);
    y += 16;
    if (bias) bias += 16;
  }
  for (let n: u32 = 0; weight < end; n++) {
    let sum = f32x4.splat(0);
    for (let k: usize = 0; k < next; k += 4 * sizeof<T>()) {
      const right = four<T>(weight + k, bits, factor, beyond, infinite);
      sum = multiplyAdd(v128.load(x + k * (4 / sizeof<T>())), right, sum);
    }
    put(y, sumOf(sum), bias, n);
    weight += next;
  }
}
