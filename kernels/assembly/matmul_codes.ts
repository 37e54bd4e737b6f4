import { codeLine, nibbles } from "./parts/code_line";
import { expertTile, tileExpert, tileFirst, tileRows } from "./parts/expert_tile";
import {
  addProducts,
  beginProduct,
  nextPanels,
  PANEL_STEP,
  panelColumn,
} from "./parts/float_product";
import { fromHalfBits } from "./parts/halves";
import { dequantized } from "./parts/quantizer";

@unmanaged
class Args {
  x: usize;
  weight: usize;
  groups: usize;
  y: usize;
  bias: usize;
  bounds: usize;
  rows: u32;
  inner: u32;
  columns: u32;
  column: u32;
  row: u32;
  stride: u32;
  group: u32;
  expert: u32;
  nibbles: u32;
  zero: u32;
  /** Rows and columns of a task. */
  task_rows: u32;
  task_columns: u32;
  /** How many experts have their weights here; 0 where rows are not those of experts. */
  experts: u32;
}

/** A block of rows and columns is a task: its weights become floats once, then floats are multiplied. */
export function matmulCodes(at: usize, task: u32, scratch: usize): void {
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
  const column = args.column + firstColumn;
  // Four rows of weights at least make a line: a row alone goes along them.
  if (rows == 1 && columns >= 4) {
    const y = args.y + (<usize> firstRow * args.stride + column) * 4;
    lines(args, args.x + firstRow * bytes, above + firstColumn, columns, column, y, scratch);
    return;
  }
  const product = beginProduct(scratch, rows, columns, 0, args.inner);
  product.x = args.x + firstRow * bytes;
  product.stride = bytes;
  product.y = args.y + (<usize> firstRow * args.stride + column) * 4;
  product.next = <usize> args.stride * 4;
  product.bias = args.bias ? args.bias + <usize> column * 4 : 0;
  for (let from: u32 = 0; nextPanels(product, from); from += product.deep) {
    for (let n: u32 = 0; n < columns; n++) {
      const row = above + firstColumn + n;
      unpack(args, row, from, from + product.deep, panelColumn(product, n));
    }
    addProducts(product);
  }
}

/**
 * A row by rows of the weight from `row` on: four at a time, a quarter of them apart, for memory is read
 * ahead where a thread goes along it; the last ones overlap those before.
 */
function lines(
  args: Args,
  x: usize,
  row: u32,
  columns: u32,
  column: u32,
  y: usize,
  scratch: usize,
): void {
  const codeBytes: usize = args.nibbles ? args.inner / 2 : args.inner;
  const groupBytes = <usize> (args.inner / args.group) * 4;
  const codes = args.weight + <usize> row * codeBytes;
  const groups = args.groups + <usize> row * groupBytes;
  const quarter = columns / 4;
  const turns = quarter + (columns % 4 ? 1 : 0);
  for (let n: usize = 0; n < turns; n++) {
    // Behind the quarters come four neighbours, the last of all.
    const rest = n == quarter;
    const first: usize = rest ? columns - 4 : n;
    const apart: usize = rest ? 1 : quarter;
    const sums = four(
      args,
      x,
      codes + first * codeBytes,
      apart * codeBytes,
      groups + first * groupBytes,
      apart * groupBytes,
      scratch,
    );
    v128.store(scratch, sums);
    for (let part: usize = 0; part < 4; part++) {
      const at = 4 * (first + part * apart);
      const sum = load<f32>(scratch + 4 * part);
      store<f32>(
        y + at,
        args.bias ? sum + load<f32>(args.bias + <usize> column * 4 + at) : sum,
      );
    }
  }
}

/** The form of `codeLine` for a weight. */
function four(
  args: Args,
  x: usize,
  codes: usize,
  apart: usize,
  groups: usize,
  groupsApart: usize,
  scratch: usize,
): v128 {
  const g = args.group;
  const k = args.inner;
  if (args.nibbles) {
    if (args.zero == 2) {
      return codeLine<u8, u32>(x, codes, apart, groups, groupsApart, g, k, scratch);
    }
    if (args.zero == 1) {
      return codeLine<u8, u16>(x, codes, apart, groups, groupsApart, g, k, scratch);
    }
    return codeLine<u8, u8>(x, codes, apart, groups, groupsApart, g, k, scratch);
  }
  if (args.zero == 2) {
    return codeLine<u16, u32>(x, codes, apart, groups, groupsApart, g, k, scratch);
  }
  if (args.zero == 1) {
    return codeLine<u16, u16>(x, codes, apart, groups, groupsApart, g, k, scratch);
  }
  return codeLine<u16, u8>(x, codes, apart, groups, groupsApart, g, k, scratch);
}

/** What some codes of a row of the weight stand for, to a column of a panel. */
function unpack(args: Args, row: u32, from: u32, to: u32, out: usize): void {
  const groups = args.groups + <usize> row * (args.inner / args.group) * 4;
  const bytes = args.nibbles ? args.inner / 2 : args.inner;
  const codes = args.weight + <usize> row * bytes;
  while (from < to) {
    const group = from / args.group;
    const end = min((group + 1) * args.group, to);
    const pair = load<u32>(groups + <usize> group * 4);
    const scale = f32x4.splat(fromHalfBits(pair & 0xffff));
    const zero = f32x4.splat(fromHalfBits(pair >> 16));
    for (; from < end; from += 8) {
      const shorts = args.nibbles
        ? nibbles(codes + from / 2, args.zero != 0)
        : octets(codes + from, args.zero);
      const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(shorts));
      const high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(shorts));
      v128.store(out, dequantized(args.zero, low, scale, zero));
      v128.store(out, dequantized(args.zero, high, scale, zero), 16);
      out += PANEL_STEP;
    }
  }
}

/** Eight codes of eight bits, signed where there is no zero point. */
function octets(at: usize, zero: u32): v128 {
  return zero ? v128.load_ext<u8>(at) : v128.load_ext<i8>(at);
}
