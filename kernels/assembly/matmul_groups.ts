import { KEPT_BYTES, SLOT_ARGS, SLOT_TURN } from "../device/cpu/protocol";
import { byteTile } from "./parts/byte_tile";
import { expertTile, tileExpert, tileFirst, tileRows } from "./parts/expert_tile";
import { widened } from "./parts/floats";
import { expandGroup, padGroup, widenGroup } from "./parts/group_codes";
import { groupTile } from "./parts/group_tile";
import { BLOCK, HALF, TILE_BYTES } from "./parts/nibble_tile";
import { packRow } from "./parts/packed_rows";

@unmanaged
class Args {
  x: usize;
  x_groups: usize;
  weight: usize;
  w_groups: usize;
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
  /** Whether the last group of a weight has codes of 8 bits. */
  outliers: u32;
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
  groups: usize;
  /** Bytes of a column's codes. */
  codeBytes: usize;
  /** Values of a group filled up to a multiple of 16; bytes of a row of them, 16 bits each. */
  padded: usize;
  shortBytes: usize;
  /** Blocks of a group whose nibbles are multiplied as they are; bytes of a row of them. */
  blocks: usize;
  packedBytes: usize;
  /** The rows in the order of nibbles, with zeros behind groups; with 16 bits a value, group by group. */
  packed: usize;
  short: usize;
  /** Scales and zeros of four columns by group, 32 bytes each. */
  scales: usize;
  /** A group of four columns as signed bytes. */
  weights: usize;
  /** What rows by four columns become, 16 bytes each. */
  totals: usize;
  sums: usize;
  /** 1 in each 16 bits, and 15 in each byte: V8 makes literals anew in every turn of a loop. */
  ones: usize;
  mask: usize;
}

const HEAD_BYTES: usize = 128;
/** Bytes of scales of four columns, and zeros behind them. */
const SCALE_BYTES: usize = 32;

/**
 * A block of rows and columns is a task: rows are packed, then each four columns go by all of them, group
 * after group. Sums of a group are exact.
 */
export function matmulGroups(at: usize, task: u32, scratch: usize): void {
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
  for (; column < end; column += 4) fourColumns(args, rows, column, min(4, end - column));
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
  const group: usize = args.group;
  rows.count = count;
  rows.first = first;
  rows.groups = inner / group;
  rows.codeBytes = (inner + (args.outliers ? group : 0)) / 2;
  rows.padded = padGroup(group);
  rows.shortBytes = rows.padded * rows.groups * 2;
  // Of smaller groups most of a block would be zeros.
  const whole = ASC_FEATURE_RELAXED_SIMD && group >= HALF;
  rows.blocks = whole ? (group + BLOCK - 1) / BLOCK : 0;
  rows.packedBytes = rows.blocks * BLOCK * rows.groups;
  rows.mask = scratch + HEAD_BYTES;
  rows.ones = rows.mask + 16;
  rows.sums = rows.ones + 16;
  rows.totals = rows.sums + TILE_BYTES;
  rows.scales = rows.totals + 16 * rows.count;
  rows.weights = rows.scales + SCALE_BYTES * rows.groups;
  rows.packed = rows.weights + 4 * rows.padded;
  rows.short = rows.packed + rows.count * rows.packedBytes;
  v128.store(rows.mask, i8x16.splat(15));
  v128.store(rows.ones, i16x8.splat(1));
  for (let m: usize = 0; m < rows.count; m++) {
    const from = args.x + (first + m) * inner;
    const packed = rows.packed + m * rows.packedBytes;
    const to = rows.short + m * rows.shortBytes;
    let g: usize = 0;
    // Where nibbles are multiplied as they are, only outliers are wanted with 16 bits.
    for (const nibbles = args.outliers ? rows.groups - 1 : rows.groups; whole && g < nibbles; g++) {
      packRow(from + g * group, group, packed + g * rows.blocks * BLOCK, rows.blocks * BLOCK);
    }
    for (; g < rows.groups; g++) {
      widenGroup(from + g * group, group, rows.padded, to + g * rows.padded * 2);
    }
  }
  return rows;
}

function codesOf(args: Args, rows: Rows, column: u32): usize {
  return args.weight + <usize> (rows.above + column) * rows.codeBytes;
}

/** Makes up to four columns of all rows. */
function fourColumns(args: Args, rows: Rows, column: u32, count: u32): void {
  // A column that is missing is another one.
  const n1 = column + min(1, count - 1);
  const n2 = column + min(2, count - 1);
  const n3 = column + count - 1;
  const c0 = codesOf(args, rows, column);
  const c1 = codesOf(args, rows, n1);
  const c2 = codesOf(args, rows, n2);
  const c3 = codesOf(args, rows, n3);
  layScales(args, rows, column, n1, n2, n3);
  memory.fill(rows.totals, 0, 16 * rows.count);
  const nibbles = args.outliers ? rows.groups - 1 : rows.groups;
  if (nibbleGroups(args, rows, nibbles, c0, c1, c2, c3)) {
    // What is left has bytes as they are; those behind a group meet zeros.
    const at = nibbles * args.group / 2;
    if (args.outliers) byteGroup(args, rows, nibbles, c0 + at, c1 + at, c2 + at, c3 + at);
  } else {
    const padded = rows.padded;
    const w = rows.weights;
    for (let g: usize = 0; g < rows.groups; g++) {
      const bytes = g >= nibbles;
      const from = g * args.group / 2;
      expandGroup(c0 + from, args.group, padded, bytes, w);
      expandGroup(c1 + from, args.group, padded, bytes, w + padded);
      expandGroup(c2 + from, args.group, padded, bytes, w + 2 * padded);
      expandGroup(c3 + from, args.group, padded, bytes, w + 3 * padded);
      byteGroup(args, rows, g, w, w + padded, w + 2 * padded, w + 3 * padded);
    }
  }
  write(args, rows, column, count);
}

/** Scales, then zeros, of four columns, group by group. */
function layScales(args: Args, rows: Rows, n0: u32, n1: u32, n2: u32, n3: u32): void {
  const bytes = rows.groups * 4;
  const first = args.w_groups + <usize> rows.above * bytes;
  for (let g: usize = 0; g < rows.groups; g++) {
    let held = v128.load32_zero(first + n0 * bytes + 4 * g);
    held = v128.load32_lane(first + n1 * bytes + 4 * g, held, 1);
    held = v128.load32_lane(first + n2 * bytes + 4 * g, held, 2);
    held = v128.load32_lane(first + n3 * bytes + 4 * g, held, 3);
    const to = rows.scales + SCALE_BYTES * g;
    v128.store(to, widened(i32x4.shr_s(i32x4.shl(held, 16), 16)));
    v128.store(to, i32x4.shr_u(held, 16), 16);
  }
}

/** Multiplies groups with the nibbles themselves; gives whether that can be, and else does nothing. */
function nibbleGroups(
  args: Args,
  rows: Rows,
  nibbles: usize,
  c0: usize,
  c1: usize,
  c2: usize,
  c3: usize,
): bool {
  if (!ASC_FEATURE_RELAXED_SIMD || !rows.blocks) return false;
  let m: usize = 0;
  for (; m + 4 <= rows.count; m += 4) nibbleRows<u32>(args, rows, m, nibbles, c0, c1, c2, c3);
  if (m + 2 <= rows.count) {
    nibbleRows<u16>(args, rows, m, nibbles, c0, c1, c2, c3);
    m += 2;
  }
  if (m < rows.count) nibbleRows<u8>(args, rows, m, nibbles, c0, c1, c2, c3);
  return true;
}

/** The same of rows from one on: as many as `R` has bytes, 1, 2 or 4. */
function nibbleRows<R>(
  args: Args,
  rows: Rows,
  m: usize,
  nibbles: usize,
  c0: usize,
  c1: usize,
  c2: usize,
  c3: usize,
): void {
  const x = rows.packed + m * rows.packedBytes;
  const bytes = args.group / 2;
  const blocks = rows.blocks;
  for (let g: usize = 0; g < nibbles; g++) {
    const from = x + g * blocks * BLOCK;
    const at = g * bytes;
    const d2 = c2 + at;
    const d3 = c3 + at;
    groupTile<R>(
      from,
      rows.packedBytes,
      c0 + at,
      c1 + at,
      d2,
      d3,
      blocks,
      rows.mask,
      rows.ones,
      rows.sums,
    );
    addSums<R>(args, rows, m, g);
  }
}

/** Adds a group of four columns of signed bytes to what all rows become. */
function byteGroup(
  args: Args,
  rows: Rows,
  g: usize,
  w0: usize,
  w1: usize,
  w2: usize,
  w3: usize,
): void {
  let m: usize = 0;
  for (; m + 4 <= rows.count; m += 4) byteRows<u32>(args, rows, m, g, w0, w1, w2, w3);
  if (m + 2 <= rows.count) {
    byteRows<u16>(args, rows, m, g, w0, w1, w2, w3);
    m += 2;
  }
  if (m < rows.count) byteRows<u8>(args, rows, m, g, w0, w1, w2, w3);
}

/** The same for rows from one on: as many as `R` has bytes, 1, 2 or 4. */
function byteRows<R>(
  args: Args,
  rows: Rows,
  m: usize,
  g: usize,
  w0: usize,
  w1: usize,
  w2: usize,
  w3: usize,
): void {
  const padded = rows.padded;
  const x = rows.short + m * rows.shortBytes + g * padded * 2;
  byteTile<R>(x, rows.shortBytes, w0, w1, w2, w3, padded, rows.sums);
  addSums<R>(args, rows, m, g);
}

/** Adds the sums of a group, under its scales, to what rows from one on become. */
function addSums<R>(args: Args, rows: Rows, m: usize, g: usize): void {
  const scales = v128.load(rows.scales + SCALE_BYTES * g);
  const zeros = v128.load(rows.scales + SCALE_BYTES * g, 16);
  let pair = args.x_groups + ((rows.first + m) * rows.groups + g) * 8;
  for (let row: usize = 0; row < sizeof<R>(); row++) {
    const inputs = i32x4.splat(<i32> load<f32>(pair, 4));
    const sum = i32x4.sub(v128.load(rows.sums + 16 * row), i32x4.mul(inputs, zeros));
    const part = f32x4.mul(f32x4.convert_i32x4_s(sum), scales);
    const total = rows.totals + 16 * (m + row);
    v128.store(total, f32x4.add(v128.load(total), f32x4.mul(part, v128.load32_splat(pair))));
    pair += rows.groups * 8;
  }
}

function write(args: Args, rows: Rows, column: u32, count: u32): void {
  const out = args.column + column;
  const bytes = <usize> args.stride * 4;
  let y = args.y + rows.first * bytes + <usize> out * 4;
  for (let m: usize = 0; m < rows.count; m++) {
    let value = v128.load(rows.totals + 16 * m);
    if (args.bias) value = f32x4.add(value, v128.load(args.bias + <usize> out * 4));
    if (count === 4) v128.store(y, value);
    else {
      store<f32>(y, f32x4.extract_lane(value, 0));
      if (count > 1) store<f32>(y, f32x4.extract_lane(value, 1), 4);
      if (count > 2) store<f32>(y, f32x4.extract_lane(value, 2), 8);
    }
    y += bytes;
  }
}
