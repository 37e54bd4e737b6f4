import { multiplyAdd } from "./parts/floats";

@unmanaged
class Args {
  x: usize;
  sum: usize;
  bounds: usize;
  rows: u32;
  columns: u32;
  first: u32;
  held: u32;
  factor: f32;
  /** Whose rows of x are taken, where there are bounds. */
  expert: u32;
}

/** Rows and columns of the block of `sum` that is a task. */
const BLOCK: u32 = 96;
/** A tile that registers hold. */
const DOWN: u32 = 6;
const ACROSS: u32 = 16;
const TILE_BYTES: usize = 4 * 6 * 16;
/** Rows of x that are packed at a time. */
const DEEP: u32 = 256;
const PACKED_BYTES: usize = 4 * 256 * 96 + 16 * 64;
/** Between two panels, whose lines would else be rivals for the same places in the nearest cache. */
const GAP: usize = 64;

/**
 * A block of rows and columns is a task. Every value is one chain of sums in the order of the rows
 * of x, whatever the block.
 */
export function gram(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const blocks = (args.columns + BLOCK - 1) / BLOCK;
  const row = (task / blocks) * BLOCK;
  const column = (task % blocks) * BLOCK;
  const down = min(BLOCK, args.held - row);
  const across = min(BLOCK, args.columns - column);
  const diagonal = args.first + row;
  if (column + across <= diagonal) return;
  const lefts = scratch;
  const rights = lefts + PACKED_BYTES;
  const tiles = rights + PACKED_BYTES;
  const panelsDown = (down + DOWN - 1) / DOWN;
  const panelsAcross = (across + ACROSS - 1) / ACROSS;
  memory.fill(tiles, 0, panelsDown * panelsAcross * TILE_BYTES);
  const bounds = args.bounds + <usize> args.expert * 4;
  const end = args.bounds ? load<u32>(bounds, 4) : args.rows;
  for (let from = args.bounds ? load<u32>(bounds) : 0; from < end; from += DEEP) {
    const deep = min(DEEP, end - from);
    packSixes(args, from, deep, diagonal, panelsDown, lefts);
    packSixteens(args, from, deep, column, panelsAcross, rights);
    for (let a: u32 = 0; a < panelsAcross; a++) {
      const right = rights + a * (deep * ACROSS * 4 + GAP);
      const last = column + a * ACROSS + ACROSS - 1;
      for (let d: u32 = 0; d < panelsDown; d++) {
        if (diagonal + d * DOWN > last) break;
        const tile = tiles + (a * panelsDown + d) * TILE_BYTES;
        addProducts(lefts + d * (deep * DOWN * 4 + GAP), right, deep, tile);
      }
    }
  }
  for (let r: u32 = 0; r < down; r++) {
    const sum = args.sum + (<usize> (row + r) * args.columns + column) * 4;
    const tile = tiles + (r / DOWN) * TILE_BYTES + (r % DOWN) * ACROSS * 4;
    // Where the diagonal lies, from the block's first column on.
    const before = <i32> (diagonal + r) - <i32> column;
    addRow(sum, tile, panelsDown * TILE_BYTES, across, before, args.factor);
  }
}

/** Columns of some rows of x, six by six. */
function packSixes(args: Args, from: u32, deep: u32, column: u32, panels: u32, to: usize): void {
  for (let r: u32 = 0; r < deep; r++) {
    let x = args.x + (<usize> (from + r) * args.columns + column) * 4;
    let packed = to + r * DOWN * 4;
    for (let p: u32 = 0; p < panels; p++) {
      v128.store(packed, v128.load(x));
      store<u64>(packed, load<u64>(x, 16), 16);
      x += DOWN * 4;
      packed += deep * DOWN * 4 + GAP;
    }
  }
}

/** Columns of some rows of x, sixteen by sixteen. */
function packSixteens(
  args: Args,
  from: u32,
  deep: u32,
  column: u32,
  panels: u32,
  to: usize,
): void {
  for (let r: u32 = 0; r < deep; r++) {
    let x = args.x + (<usize> (from + r) * args.columns + column) * 4;
    let packed = to + r * ACROSS * 4;
    for (let p: u32 = 0; p < panels; p++) {
      v128.store(packed, v128.load(x));
      v128.store(packed, v128.load(x, 16), 16);
      v128.store(packed, v128.load(x, 32), 32);
      v128.store(packed, v128.load(x, 48), 48);
      x += ACROSS * 4;
      packed += deep * ACROSS * 4 + GAP;
    }
  }
}

/** Adds the products of six by sixteen columns, row by row. */
function addProducts(left: usize, right: usize, deep: u32, tile: usize): void {
  let s00 = v128.load(tile);
  let s01 = v128.load(tile, 16);
  let s02 = v128.load(tile, 32);
  let s03 = v128.load(tile, 48);
  let s10 = v128.load(tile, 64);
  let s11 = v128.load(tile, 80);
  let s12 = v128.load(tile, 96);
  let s13 = v128.load(tile, 112);
  let s20 = v128.load(tile, 128);
  let s21 = v128.load(tile, 144);
  let s22 = v128.load(tile, 160);
  let s23 = v128.load(tile, 176);
  let s30 = v128.load(tile, 192);
  let s31 = v128.load(tile, 208);
  let s32 = v128.load(tile, 224);
  let s33 = v128.load(tile, 240);
  let s40 = v128.load(tile, 256);
  let s41 = v128.load(tile, 272);
  let s42 = v128.load(tile, 288);
  let s43 = v128.load(tile, 304);
  let s50 = v128.load(tile, 320);
  let s51 = v128.load(tile, 336);
  let s52 = v128.load(tile, 352);
  let s53 = v128.load(tile, 368);
  const end = right + deep * ACROSS * 4;
  for (; right < end; right += ACROSS * 4) {
    const b0 = v128.load(right);
    const b1 = v128.load(right, 16);
    const b2 = v128.load(right, 32);
    const b3 = v128.load(right, 48);
    let a = v128.load_splat<f32>(left);
    s00 = multiplyAdd(a, b0, s00);
    s01 = multiplyAdd(a, b1, s01);
    s02 = multiplyAdd(a, b2, s02);
    s03 = multiplyAdd(a, b3, s03);
    a = v128.load_splat<f32>(left, 4);
    s10 = multiplyAdd(a, b0, s10);
    s11 = multiplyAdd(a, b1, s11);
    s12 = multiplyAdd(a, b2, s12);
    s13 = multiplyAdd(a, b3, s13);
    a = v128.load_splat<f32>(left, 8);
    s20 = multiplyAdd(a, b0, s20);
    s21 = multiplyAdd(a, b1, s21);
    s22 = multiplyAdd(a, b2, s22);
    s23 = multiplyAdd(a, b3, s23);
    a = v128.load_splat<f32>(left, 12);
    s30 = multiplyAdd(a, b0, s30);
    s31 = multiplyAdd(a, b1, s31);
    s32 = multiplyAdd(a, b2, s32);
    s33 = multiplyAdd(a, b3, s33);
    a = v128.load_splat<f32>(left, 16);
    s40 = multiplyAdd(a, b0, s40);
    s41 = multiplyAdd(a, b1, s41);
    s42 = multiplyAdd(a, b2, s42);
    s43 = multiplyAdd(a, b3, s43);
    a = v128.load_splat<f32>(left, 20);
    s50 = multiplyAdd(a, b0, s50);
    s51 = multiplyAdd(a, b1, s51);
    s52 = multiplyAdd(a, b2, s52);
    s53 = multiplyAdd(a, b3, s53);
    left += DOWN * 4;
  }
  v128.store(tile, s00);
  v128.store(tile, s01, 16);
  v128.store(tile, s02, 32);
  v128.store(tile, s03, 48);
  v128.store(tile, s10, 64);
  v128.store(tile, s11, 80);
  v128.store(tile, s12, 96);
  v128.store(tile, s13, 112);
  v128.store(tile, s20, 128);
  v128.store(tile, s21, 144);
  v128.store(tile, s22, 160);
  v128.store(tile, s23, 176);
  v128.store(tile, s30, 192);
  v128.store(tile, s31, 208);
  v128.store(tile, s32, 224);
  v128.store(tile, s33, 240);
  v128.store(tile, s40, 256);
  v128.store(tile, s41, 272);
  v128.store(tile, s42, 288);
  v128.store(tile, s43, 304);
  v128.store(tile, s50, 320);
  v128.store(tile, s51, 336);
  v128.store(tile, s52, 352);
  v128.store(tile, s53, 368);
}

/** Adds a row of tiles to a row of `sum`, from the column `before` on; columns are fours. */
function addRow(
  sum: usize,
  tile: usize,
  nextTile: usize,
  columns: u32,
  before: i32,
  factor: f32,
): void {
  const lanes = i32x4(0, 1, 2, 3);
  for (let c: i32 = 0; c < <i32> columns; c += 4) {
    if (c + 3 < before) continue;
    const at = sum + c * 4;
    const held = v128.load(at);
    const made = v128.load(tile + (c / <i32> ACROSS) * nextTile + (c % <i32> ACROSS) * 4);
    const added = f32x4.add(held, f32x4.mul(f32x4.splat(factor), made));
    const behind = i32x4.ge_s(i32x4.add(i32x4.splat(c), lanes), i32x4.splat(before));
    v128.store(at, v128.bitselect(added, held, behind));
  }
}
