import { byteLine } from "./parts/byte_line";
import { byteTile } from "./parts/byte_tile";
import { expandNibbles, wraps } from "./parts/byte_weights";
import { KEPT_BYTES, SLOT_ARGS, SLOT_TURN } from "../device/cpu/protocol";
import { factorBytes, layFactors } from "./parts/block_factors";
import { expertTile, tileExpert, tileFirst, tileRows } from "./parts/expert_tile";
import { BLOCK, HALF, nibbleLine, nibbleTile, TILE_BYTES } from "./parts/nibble_tile";
import { copyRow, highSums, packRow, putSums, sumBytes, widenBytes } from "./parts/packed_rows";

@unmanaged
class Args {
  x: usize;
  x_rows: usize;
  weight: usize;
  w_rows: usize;
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
  /** Rows and columns of a task. */
  task_rows: u32;
  task_columns: u32;
  /** How many experts have their weights here; 0 where rows are not those of experts. */
  experts: u32;
}

/** Rows of a task and where what is made of them lies, in memory of the thread. */
@unmanaged
class Rows {
  first: u32;
  count: usize;
  /** Row of the weight that makes the first column. */
  above: u32;
  /** Bytes of a packed row, with zeros at its end; from one row to the next. */
  padded: usize;
  stride: usize;
  /** Bytes of a column's codes and of its groups, which are whole words. */
  codeBytes: usize;
  groupBytes: usize;
  /** Groups of a column that has them, and of how many halves of a block each is; 0 where of none. */
  groups: usize;
  halves: usize;
  packed: usize;
  /** The rows with 16 bits a value, where they are `widened`, and four columns of bytes. */
  short: usize;
  weights: usize;
  widened: bool;
  /** 15 in each byte: V8 makes literals anew in every turn of a loop, but not what was loaded. */
  mask: usize;
  /** Sums of four rows by four columns: see `nibbleTile`. */
  sums: usize;
  /** Factors of four columns for each block or half of one: see `nibbleTile`. */
  factors: usize;
}

const HEAD_BYTES: usize = 64;
const MASK_BYTES: usize = 16;
const ONES: u64 = 0x0001000100010001;

/**
 * A block of rows and columns is a task. Its rows are packed, then each four columns go by all of them,
 * so that a weight is read once from far. Sums are exact.
 */
export function matmulInt8(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const across = (args.columns + args.task_columns - 1) / args.task_columns;
  const down = task / across;
  let first = down * args.task_rows;
  let rowsHere = min(args.task_rows, args.rows - first);
  let above = args.row;
  if (args.experts) {
    const tile = expertTile(args.bounds, args.expert, args.experts, args.task_rows, down);
    rowsHere = tileRows(tile);
    if (!rowsHere) return;
    first = tileFirst(tile);
    above += tileExpert(tile) * args.columns;
  }
  const rows = packRows(args, first, rowsHere, scratch);
  rows.above = above;
  let column = (task % across) * args.task_columns;
  const end = min(column + args.task_columns, args.columns);
  if (rows.count == 1) column = lines(args, rows, column, end);
  for (; column < end; column += 4) {
    const count = min(4, end - column);
    if (!nibbleColumns(args, rows, column, count, 1)) byteColumns(args, rows, column, count);
  }
}

/** Which rows of which command lie packed in memory of the thread, told before it begins. */
@unmanaged
class Kept {
  turn: u32;
  /** One more than the first row. */
  end: u32;
}

/** Packs rows from one on, unless they are those of the thread's task before. */
function packRows(args: Args, first: u32, count: u32, scratch: usize): Rows {
  const rows = changetype<Rows>(scratch);
  const kept = changetype<Kept>(scratch - KEPT_BYTES);
  const turn = load<u32>(changetype<usize>(args) - SLOT_ARGS + SLOT_TURN);
  if (kept.turn === turn && kept.end === first + 1) return rows;
  kept.turn = turn;
  kept.end = first + 1;
  const inner: usize = args.inner;
  const padded = (inner + BLOCK - 1) & ~(BLOCK - 1);
  rows.count = count;
  rows.first = first;
  rows.padded = padded;
  rows.codeBytes = args.nibbles ? inner / 2 : inner;
  rows.groupBytes = args.groups ? (inner / args.group + 1) / 2 * 4 : 0;
  rows.groups = args.groups ? inner / args.group : 0;
  rows.halves = args.groups && args.group % HALF == 0 ? args.group / HALF : 0;
  rows.stride = padded + sumBytes(rows.groups);
  rows.mask = scratch + HEAD_BYTES;
  rows.sums = rows.mask + MASK_BYTES;
  rows.factors = rows.sums + TILE_BYTES;
  rows.packed = rows.factors + max(padded / 8, factorBytes<u32>(rows.groups, rows.halves));
  rows.short = rows.packed + rows.count * rows.stride;
  rows.weights = rows.short + rows.count * padded * 2;
  rows.widened = false;
  v128.store(rows.mask, i8x16.splat(15));
  for (let at: usize = 0; !args.groups && at < padded / 8; at += 8) {
    store<u64>(rows.factors + at, ONES);
  }
  for (let m: usize = 0; m < rows.count; m++) {
    const from = args.x + (first + m) * inner;
    const to = rows.packed + m * rows.stride;
    if (args.nibbles) packRow(from, inner, to, padded);
    else copyRow(from, inner, to, padded);
    if (rows.halves) putSums(to, args.group, rows.groups, to + padded);
  }
  return rows;
}

/** Whether q s - z is no signed byte for some weight of some columns, so far apart. */
function wrap(args: Args, rows: Rows, column: u32, count: u32, apart: u32): bool {
  for (let n = column; n < column + count * apart; n += apart) {
    if (wraps(codesOf(args, rows, n), groupsOf(args, rows, n), args.group, rows.groups)) {
      return true;
    }
  }
  return false;
}

function codesOf(args: Args, rows: Rows, column: u32): usize {
  return args.weight + (rows.above + column) * rows.codeBytes;
}

function groupsOf(args: Args, rows: Rows, column: u32): usize {
  return args.groups + (rows.above + column) * rows.groupBytes;
}

/** Whether nibbles can be multiplied as they are: groups, if there are any, are halves of blocks. */
function asTheyAre(args: Args, rows: Rows): bool {
  return ASC_FEATURE_RELAXED_SIMD && args.nibbles && (!args.groups || rows.halves) ? true : false;
}

/**
 * Multiplies columns, so far apart if rows are one, with the nibbles themselves; gives whether that is
 * enough, and else does nothing.
 */
function nibbleColumns(args: Args, rows: Rows, column: u32, count: u32, apart: u32): bool {
  if (!ASC_FEATURE_RELAXED_SIMD || !asTheyAre(args, rows)) return false;
  if (rows.halves % 2) return nibblesBy<u32>(args, rows, column, count, apart);
  return nibblesBy<u16>(args, rows, column, count, apart);
}

/** The same under factors of blocks or of their halves: see `nibbleTile`. */
function nibblesBy<F>(args: Args, rows: Rows, column: u32, count: u32, apart: u32): bool {
  // A column that is missing is another one.
  const second = min(1, count - 1) * apart;
  const third = min(2, count - 1) * apart;
  const fourth = (count - 1) * apart;
  const c0 = codesOf(args, rows, column);
  const c1 = c0 + second * rows.codeBytes;
  const c2 = c0 + third * rows.codeBytes;
  const c3 = c0 + fourth * rows.codeBytes;
  const groups = rows.groups;
  const g0 = groups ? groupsOf(args, rows, column) : 0;
  const g1 = g0 + second * rows.groupBytes;
  const g2 = g0 + third * rows.groupBytes;
  const g3 = g0 + fourth * rows.groupBytes;
  const per = sizeof<F>() == 2 ? rows.halves / 2 : rows.halves;
  if (groups && !layFactors<F>(g0, g1, g2, g3, groups, per, rows.factors)) {
    if (wrap(args, rows, column, count, apart)) return false;
  }
  const blocks = rows.padded / BLOCK;
  const mask = rows.mask;
  const to = rows.sums;
  const f = rows.factors;
  const stride = rows.stride;
  const above = groups ? highSums(args.group, groups) : 0;
  let x = rows.packed;
  if (apart > 1) {
    nibbleLine<F>(x, c0, c1, c2, c3, g0, g1, g2, g3, groups, above, blocks, f, mask, to);
    finishApart(args, rows, column, apart, to);
    return true;
  }
  let m: usize = 0;
  for (; m + 4 <= rows.count; m += 4) {
    nibbleTile<u32, F>(
      x,
      stride,
      c0,
      c1,
      c2,
      c3,
      g0,
      g1,
      g2,
      g3,
      groups,
      above,
      blocks,
      f,
      mask,
      to,
    );
    finish(args, rows, <u32> m, 4, column, count, to);
    x += 4 * stride;
  }
  if (m + 2 <= rows.count) {
    nibbleTile<u16, F>(
      x,
      stride,
      c0,
      c1,
      c2,
      c3,
      g0,
      g1,
      g2,
      g3,
      groups,
      above,
      blocks,
      f,
      mask,
      to,
    );
    finish(args, rows, <u32> m, 2, column, count, to);
    x += 2 * stride;
    m += 2;
  }
  if (m < rows.count) {
    nibbleTile<u8, F>(
      x,
      stride,
      c0,
      c1,
      c2,
      c3,
      g0,
      g1,
      g2,
      g3,
      groups,
      above,
      blocks,
      f,
      mask,
      to,
    );
    finish(args, rows, <u32> m, 1, column, count, to);
  }
  return true;
}

/** Gives rows 16 bits a value, once. */
function widen(rows: Rows): void {
  for (let m: usize = 0; !rows.widened && m < rows.count; m++) {
    widenBytes(
      rows.packed + m * rows.stride,
      rows.padded,
      rows.short + m * rows.padded * 2,
    );
  }
  rows.widened = true;
}

/** Bytes of nibbles of a column from which on a row alone goes along four of them far apart. */
const LONG: usize = 512;

/**
 * Multiplies a row alone: four columns at a time, a quarter of them apart, for memory is read ahead where
 * a thread goes along it; short columns of nibbles are as good as one. Gives the column behind the last
 * one it made.
 */
function lines(args: Args, rows: Rows, column: u32, end: u32): u32 {
  if (args.nibbles && (!asTheyAre(args, rows) || rows.codeBytes < LONG)) return column;
  const quarter = (end - column) / 4;
  for (let n = column; n < column + quarter; n++) {
    if (!args.nibbles) byteColumnsApart(args, rows, n, quarter);
    else if (!nibbleColumns(args, rows, n, 4, quarter)) {
      for (let part: u32 = 0; part < 4; part++) byteColumns(args, rows, n + part * quarter, 1);
    }
  }
  return column + 4 * quarter;
}

/** Multiplies a row alone with four columns of signed bytes, so far apart. */
function byteColumnsApart(args: Args, rows: Rows, column: u32, apart: u32): void {
  widen(rows);
  const codes = codesOf(args, rows, column);
  const next = <usize> apart * rows.codeBytes;
  const sums = byteLine(
    rows.short,
    codes,
    codes + next,
    codes + 2 * next,
    codes + 3 * next,
    rows.padded,
    rows.sums,
  );
  v128.store(rows.sums, sums);
  finishApart(args, rows, column, apart, rows.sums);
}

/** Multiplies with weights as signed bytes. */
function byteColumns(args: Args, rows: Rows, column: u32, count: u32): void {
  const padded = rows.padded;
  widen(rows);
  for (let n: u32 = 0; args.nibbles && n < count; n++) {
    const codes = codesOf(args, rows, column + n);
    const groups = args.groups ? groupsOf(args, rows, column + n) : 0;
    expandNibbles(codes, groups, args.group, padded, rows.weights + n * padded);
  }
  const c0 = args.nibbles ? rows.weights : codesOf(args, rows, column);
  const next = args.nibbles ? padded : rows.codeBytes;
  const c1 = c0 + min(1, count - 1) * next;
  const c2 = c0 + min(2, count - 1) * next;
  const c3 = c0 + (count - 1) * next;
  const stride = padded * 2;
  const sums = rows.sums;
  let x = rows.short;
  let m: usize = 0;
  for (; m + 4 <= rows.count; m += 4) {
    byteTile<u32>(x, stride, c0, c1, c2, c3, padded, sums);
    finish(args, rows, <u32> m, 4, column, count, sums);
    x += 4 * stride;
  }
  if (m + 2 <= rows.count) {
    byteTile<u16>(x, stride, c0, c1, c2, c3, padded, sums);
    finish(args, rows, <u32> m, 2, column, count, sums);
    x += 2 * stride;
    m += 2;
  }
  if (m < rows.count) {
    byteTile<u8>(x, stride, c0, c1, c2, c3, padded, sums);
    finish(args, rows, <u32> m, 1, column, count, sums);
  }
}

/** Scales sums of rows, four columns each, and writes `count` of them. */
function finish(
  args: Args,
  packed: Rows,
  row: u32,
  rows: u32,
  column: u32,
  count: u32,
  sums: usize,
): void {
  const first = packed.first + row;
  const pairs = args.w_rows + <usize> (packed.above + column) * 8;
  const two = v128.load(pairs);
  const more = v128.load(pairs, 16);
  const scales = v128.shuffle<f32>(two, more, 0, 2, 4, 6);
  const zeros = v128.shuffle<f32>(two, more, 1, 3, 5, 7);
  const out = args.column + column;
  const shifted = args.nibbles && !args.groups;
  const bias = args.bias ? v128.load(args.bias + <usize> out * 4) : f32x4.splat(0);
  const biased = args.bias !== 0;
  const bytes = <usize> args.stride * 4;
  let y = args.y + first * bytes + <usize> out * 4;
  let scale = args.x_rows + <usize> first * 8;
  for (const end = sums + 16 * <usize> rows; sums < end; sums += 16) {
    const sum = f32x4.convert_i32x4_s(v128.load(sums));
    let value = f32x4.mul(f32x4.mul(sum, scales), v128.load32_splat(scale));
    if (shifted) value = f32x4.sub(value, f32x4.mul(zeros, v128.load32_splat(scale, 4)));
    if (biased) value = f32x4.add(value, bias);
    if (count === 4) v128.store(y, value);
    else {
      store<f32>(y, f32x4.extract_lane(value, 0));
      if (count > 1) store<f32>(y, f32x4.extract_lane(value, 1), 4);
      if (count > 2) store<f32>(y, f32x4.extract_lane(value, 2), 8);
    }
    scale += 8;
    y += bytes;
  }
}

/** Scales the sums of a row alone by four columns, so far apart, and writes them. */
function finishApart(args: Args, rows: Rows, column: u32, apart: u32, sums: usize): void {
  const shifted = args.nibbles && !args.groups;
  const inputs = args.x_rows + <usize> rows.first * 8;
  const scale = load<f32>(inputs);
  let pair = args.w_rows + <usize> (rows.above + column) * 8;
  let out = <usize> (args.column + column) * 4;
  const y = args.y + <usize> rows.first * args.stride * 4;
  for (const end = sums + 16; sums < end; sums += 4) {
    let value = <f32> load<i32>(sums) * load<f32>(pair) * scale;
    if (shifted) value -= load<f32>(pair, 4) * load<f32>(inputs, 4);
    store<f32>(y + out, args.bias ? value + load<f32>(args.bias + out) : value);
    pair += 8 * <usize> apart;
    out += 4 * <usize> apart;
  }
}
