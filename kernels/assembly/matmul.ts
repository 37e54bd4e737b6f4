import {
  addProducts,
  beginProduct,
  nextPanels,
  PANEL_STEP,
  panelColumn,
} from "./parts/float_product";
import { expertTile, tileExpert, tileFirst, tileRows } from "./parts/expert_tile";
import {
  joined,
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
  bounds: usize;
  rows: u32;
  inner: u32;
  columns: u32;
  column: u32;
  row: u32;
  stride: u32;
  begin: u32;
  end: u32;
  expert: u32;
  half: u32;
  /** Rows and columns of a task. */
  task_rows: u32;
  task_columns: u32;
  /** How many experts have their weights here; 0 where rows are not those of experts. */
  experts: u32;
}

/** A block of rows and columns is a task; `Product` has the order of sums, of a row alone too. */
export function matmul(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const across = (args.columns + args.task_columns - 1) / args.task_columns;
  const down = task / across;
  const firstColumn = (task % across) * args.task_columns;
  let firstRow = down * args.task_rows;
  let rows = min(args.task_rows, args.rows - firstRow);
  let above = args.row;
  if (args.experts) {
    const tile = expertTile(args.bounds, args.expert, args.experts, args.task_rows, down);
    rows = tileRows(tile);
    if (!rows) return;
    firstRow = tileFirst(tile);
    above += tileExpert(tile) * args.columns;
  }
  const columns = min(args.task_columns, args.columns - firstColumn);
  const bytes = <usize> args.inner * 4;
  const x = args.x + firstRow * bytes;
  const column = args.column + firstColumn;
  const y = args.y + (<usize> firstRow * args.stride + column) * 4;
  const bias = args.bias ? args.bias + <usize> column * 4 : 0;
  const next = args.half ? bytes / 2 : bytes;
  const weight = args.weight + (above + firstColumn) * next;
  widenTable(scratch);
  if (rows == 1) {
    if (args.half) line<u16>(args, x, weight, columns, next, scratch, y, bias);
    else line<f32>(args, x, weight, columns, next, scratch, y, bias);
    return;
  }
  const product = beginProduct(
    scratch + WIDEN_TABLE_BYTES,
    rows,
    columns,
    args.begin,
    args.end,
  );
  product.x = x;
  product.stride = bytes;
  product.y = y;
  product.next = <usize> args.stride * 4;
  product.bias = bias;
  for (let from = args.begin; nextPanels(product, from); from += product.deep) {
    for (let n: u32 = 0; n < columns; n++) {
      const to = panelColumn(product, n);
      const row = weight + n * next;
      if (args.half) pack<u16>(row + <usize> from * 2, product.deep, scratch, to);
      else pack<f32>(row + <usize> from * 4, product.deep, scratch, to);
    }
    addProducts(product);
  }
}

/** Some values, a multiple of eight, to a column of a panel. */
function pack<T>(from: usize, count: u32, table: usize, to: usize): void {
  const bits = v128.load(table);
  const factor = v128.load(table, 16);
  const beyond = v128.load(table, 32);
  const infinite = v128.load(table, 48);
  const end = from + <usize> count * sizeof<T>();
  for (; from < end; from += 8 * sizeof<T>()) {
    const low = lower<T>(from, bits, factor, beyond, infinite);
    const high = upper<T>(from, bits, factor, beyond, infinite);
    v128.store(to, low);
    v128.store(to, high, 16);
    to += PANEL_STEP;
  }
}

/** The first four of eight values as floats. */
function lower<T>(at: usize, bits: v128, factor: v128, beyond: v128, infinite: v128): v128 {
  if (sizeof<T>() == 4) return v128.load(at);
  return widenedBy(v128.load_ext<i16>(at), bits, factor, beyond, infinite);
}

/** The others. */
function upper<T>(at: usize, bits: v128, factor: v128, beyond: v128, infinite: v128): v128 {
  if (sizeof<T>() == 4) return v128.load(at, 16);
  return widenedBy(v128.load_ext<i16>(at, 8), bits, factor, beyond, infinite);
}

/**
 * A row by four of half precision, with the sums of `line`; gives whether all of them are finite, for
 * else the sums are wrong. The eight chains of each go to `chains`, where they are joined.
 */
function finiteLine(
  x: usize,
  b0: usize,
  last: usize,
  next: usize,
  bits: v128,
  factor: v128,
  chains: usize,
): bool {
  let most = i16x8.splat(0);
  let s0l = f32x4.splat(0);
  let s0h = f32x4.splat(0);
  let s1l = f32x4.splat(0);
  let s1h = f32x4.splat(0);
  let s2l = f32x4.splat(0);
  let s2h = f32x4.splat(0);
  let s3l = f32x4.splat(0);
  let s3h = f32x4.splat(0);
  let b1 = b0 + next;
  let b2 = b1 + next;
  let b3 = b2 + next;
  for (; b0 < last; b0 += 16) {
    const l = v128.load(x);
    const h = v128.load(x, 16);
    most = i16x8.max_u(most, i16x8.shl(v128.load(b0), 1));
    s0l = multiplyAdd(l, finite(v128.load_ext<i16>(b0), bits, factor), s0l);
    s0h = multiplyAdd(h, finite(v128.load_ext<i16>(b0, 8), bits, factor), s0h);
    most = i16x8.max_u(most, i16x8.shl(v128.load(b1), 1));
    s1l = multiplyAdd(l, finite(v128.load_ext<i16>(b1), bits, factor), s1l);
    s1h = multiplyAdd(h, finite(v128.load_ext<i16>(b1, 8), bits, factor), s1h);
    most = i16x8.max_u(most, i16x8.shl(v128.load(b2), 1));
    s2l = multiplyAdd(l, finite(v128.load_ext<i16>(b2), bits, factor), s2l);
    s2h = multiplyAdd(h, finite(v128.load_ext<i16>(b2, 8), bits, factor), s2h);
    most = i16x8.max_u(most, i16x8.shl(v128.load(b3), 1));
    s3l = multiplyAdd(l, finite(v128.load_ext<i16>(b3), bits, factor), s3l);
    s3h = multiplyAdd(h, finite(v128.load_ext<i16>(b3, 8), bits, factor), s3h);
    x += 32;
    b1 += 16;
    b2 += 16;
    b3 += 16;
  }
  v128.store(chains, s0l);
  v128.store(chains, s0h, 16);
  v128.store(chains, s1l, 32);
  v128.store(chains, s1h, 48);
  v128.store(chains, s2l, 64);
  v128.store(chains, s2h, 80);
  v128.store(chains, s3l, 96);
  v128.store(chains, s3h, 112);
  return !v128.any_true(i16x8.ge_u(most, i16x8.splat(<i16> 0xf800)));
}

/** Four finite halves, sign-extended, as floats. */
function finite(halves: v128, bits: v128, factor: v128): v128 {
  return f32x4.mul(v128.and(i32x4.shl(halves, 13), bits), factor);
}

/**
 * A row by rows of the weight, `next` bytes each: four at a time, a quarter of them apart, for memory is
 * read ahead where a thread goes along it.
 */
function line<T>(
  args: Args,
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
  const chains = table + WIDEN_TABLE_BYTES;
  const quarter: usize = columns / 4;
  const apart = quarter * next;
  const far = quarter * 4;
  const skipped = <usize> args.begin * sizeof<T>();
  const used = <usize> args.end * sizeof<T>();
  x += <usize> args.begin * 4;
  for (const end = weight + apart; weight < end; weight += next) {
    if (
      sizeof<T>() == 4 ||
      !finiteLine(x, weight + skipped, weight + used, apart, bits, factor, chains)
    ) {
      let a = x;
      let b0 = weight + skipped;
      let b1 = b0 + apart;
      let b2 = b1 + apart;
      let b3 = b2 + apart;
      let s0l = f32x4.splat(0);
      let s0h = f32x4.splat(0);
      let s1l = f32x4.splat(0);
      let s1h = f32x4.splat(0);
      let s2l = f32x4.splat(0);
      let s2h = f32x4.splat(0);
      let s3l = f32x4.splat(0);
      let s3h = f32x4.splat(0);
      for (const last = weight + used; b0 < last; b0 += 8 * sizeof<T>()) {
        const l = v128.load(a);
        const h = v128.load(a, 16);
        s0l = multiplyAdd(l, lower<T>(b0, bits, factor, beyond, infinite), s0l);
        s0h = multiplyAdd(h, upper<T>(b0, bits, factor, beyond, infinite), s0h);
        s1l = multiplyAdd(l, lower<T>(b1, bits, factor, beyond, infinite), s1l);
        s1h = multiplyAdd(h, upper<T>(b1, bits, factor, beyond, infinite), s1h);
        s2l = multiplyAdd(l, lower<T>(b2, bits, factor, beyond, infinite), s2l);
        s2h = multiplyAdd(h, upper<T>(b2, bits, factor, beyond, infinite), s2h);
        s3l = multiplyAdd(l, lower<T>(b3, bits, factor, beyond, infinite), s3l);
        s3h = multiplyAdd(h, upper<T>(b3, bits, factor, beyond, infinite), s3h);
        a += 32;
        b1 += 8 * sizeof<T>();
        b2 += 8 * sizeof<T>();
        b3 += 8 * sizeof<T>();
      }
      v128.store(chains, s0l);
      v128.store(chains, s0h, 16);
      v128.store(chains, s1l, 32);
      v128.store(chains, s1h, 48);
      v128.store(chains, s2l, 64);
      v128.store(chains, s2h, 80);
      v128.store(chains, s3l, 96);
      v128.store(chains, s3h, 112);
    }
    const sums = sumsOf(
      joined(chains),
      joined(chains + 32),
      joined(chains + 64),
      joined(chains + 96),
    );
    put(y, 0, bias, f32x4.extract_lane(sums, 0));
    put(y, far, bias, f32x4.extract_lane(sums, 1));
    put(y, 2 * far, bias, f32x4.extract_lane(sums, 2));
    put(y, 3 * far, bias, f32x4.extract_lane(sums, 3));
    y += 4;
    if (bias) bias += 4;
  }
  weight += 3 * apart;
  y += 3 * far;
  if (bias) bias += 3 * far;
  const end = weight + <usize> (columns % 4) * next;
  for (let n: usize = 0; weight < end; n++) {
    let l = f32x4.splat(0);
    let h = f32x4.splat(0);
    let a = x;
    for (let b = weight + skipped; b < weight + used; b += 8 * sizeof<T>()) {
      l = multiplyAdd(v128.load(a), lower<T>(b, bits, factor, beyond, infinite), l);
      h = multiplyAdd(v128.load(a, 16), upper<T>(b, bits, factor, beyond, infinite), h);
      a += 32;
    }
    const sum = sumOf(f32x4.add(l, h));
    put(y, 4 * n, bias, sum);
    weight += next;
  }
}

/** Writes a sum some bytes from `y`, with its bias if there is any. */
function put(y: usize, at: usize, bias: usize, sum: f32): void {
  store<f32>(y + at, bias ? sum + load<f32>(bias + at) : sum);
}
