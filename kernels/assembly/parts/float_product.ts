import { multiplyAdd, sumsOf } from "./floats";

/** Inner values that a panel holds, so many that it stays in the nearest cache. */
export const DEEP: u32 = 768;
/** From four values of a column in a panel to the next four. */
export const PANEL_STEP: usize = 96;
/** Columns of a panel: with two rows, sums and what they take in fill the registers. */
const ACROSS: u32 = 6;
/** Bytes of the sums of two rows by a panel. */
const TILE_BYTES: usize = 192;

/**
 * Products of some rows and columns in the making. Every value is the sum of four chains, one for each
 * remainder of the inner index by four, whatever the block: its bits depend on its operands alone.
 */
@unmanaged
export class Product {
  rows: u32;
  /** Panels of columns. */
  panels: u32;
  columns: u32;
  sums: usize;
  /** Six columns a panel, one panel behind the other: four values of each column side by side. */
  panel: usize;
}

/** Begins products in memory of the thread. */
export function beginProduct(scratch: usize, rows: u32, columns: u32): Product {
  const product = changetype<Product>(scratch);
  product.rows = rows;
  product.columns = columns;
  product.panels = (columns + ACROSS - 1) / ACROSS;
  product.sums = scratch + 64;
  const bytes = <usize> ((rows + 1) / 2) * product.panels * TILE_BYTES;
  product.panel = product.sums + bytes;
  memory.fill(product.sums, 0, bytes);
  return product;
}

/** Where the values of a column go, as floats, of which there are `deep`. */
export function panelColumn(product: Product, column: u32, deep: u32): usize {
  const inside = <usize> (column % ACROSS) * 16;
  return product.panel + <usize> (column / ACROSS) * deep * ACROSS * 4 + inside;
}

/** Adds the products of `deep` values of rows, `stride` bytes from one to the next, and of columns. */
export function addProducts(product: Product, x: usize, stride: usize, deep: u32): void {
  const bytes = <usize> deep * ACROSS * 4;
  const next = product.panels * TILE_BYTES;
  for (let p: u32 = 0; p < product.panels; p++) {
    const panel = product.panel + p * bytes;
    let sums = product.sums + p * TILE_BYTES;
    let row = x;
    let rows = product.rows;
    for (; rows >= 2; rows -= 2) {
      addTwo(row, row + stride, panel, panel + bytes, sums);
      row += 2 * stride;
      sums += next;
    }
    if (rows) addOne(row, panel, panel + bytes, sums);
  }
}

/** Two rows by a panel. */
function addTwo(a: usize, b: usize, panel: usize, end: usize, sums: usize): void {
  let s00 = v128.load(sums);
  let s01 = v128.load(sums, 16);
  let s02 = v128.load(sums, 32);
  let s03 = v128.load(sums, 48);
  let s04 = v128.load(sums, 64);
  let s05 = v128.load(sums, 80);
  let s10 = v128.load(sums, 96);
  let s11 = v128.load(sums, 112);
  let s12 = v128.load(sums, 128);
  let s13 = v128.load(sums, 144);
  let s14 = v128.load(sums, 160);
  let s15 = v128.load(sums, 176);
  for (; panel < end; panel += PANEL_STEP) {
    const left = v128.load(a);
    const other = v128.load(b);
    let right = v128.load(panel);
    s00 = multiplyAdd(left, right, s00);
    s10 = multiplyAdd(other, right, s10);
    right = v128.load(panel, 16);
    s01 = multiplyAdd(left, right, s01);
    s11 = multiplyAdd(other, right, s11);
    right = v128.load(panel, 32);
    s02 = multiplyAdd(left, right, s02);
    s12 = multiplyAdd(other, right, s12);
    right = v128.load(panel, 48);
    s03 = multiplyAdd(left, right, s03);
    s13 = multiplyAdd(other, right, s13);
    right = v128.load(panel, 64);
    s04 = multiplyAdd(left, right, s04);
    s14 = multiplyAdd(other, right, s14);
    right = v128.load(panel, 80);
    s05 = multiplyAdd(left, right, s05);
    s15 = multiplyAdd(other, right, s15);
    a += 16;
    b += 16;
  }
  v128.store(sums, s00);
  v128.store(sums, s01, 16);
  v128.store(sums, s02, 32);
  v128.store(sums, s03, 48);
  v128.store(sums, s04, 64);
  v128.store(sums, s05, 80);
  v128.store(sums, s10, 96);
  v128.store(sums, s11, 112);
  v128.store(sums, s12, 128);
  v128.store(sums, s13, 144);
  v128.store(sums, s14, 160);
  v128.store(sums, s15, 176);
}

/** A row by a panel. */
function addOne(a: usize, panel: usize, end: usize, sums: usize): void {
  let s0 = v128.load(sums);
  let s1 = v128.load(sums, 16);
  let s2 = v128.load(sums, 32);
  let s3 = v128.load(sums, 48);
  let s4 = v128.load(sums, 64);
  let s5 = v128.load(sums, 80);
  for (; panel < end; panel += PANEL_STEP) {
    const left = v128.load(a);
    s0 = multiplyAdd(left, v128.load(panel), s0);
    s1 = multiplyAdd(left, v128.load(panel, 16), s1);
    s2 = multiplyAdd(left, v128.load(panel, 32), s2);
    s3 = multiplyAdd(left, v128.load(panel, 48), s3);
    s4 = multiplyAdd(left, v128.load(panel, 64), s4);
    s5 = multiplyAdd(left, v128.load(panel, 80), s5);
    a += 16;
  }
  v128.store(sums, s0);
  v128.store(sums, s1, 16);
  v128.store(sums, s2, 32);
  v128.store(sums, s3, 48);
  v128.store(sums, s4, 64);
  v128.store(sums, s5, 80);
}

/** Writes the products to rows of `y`, `stride` bytes from one to the next, with a bias or 0. */
export function putProducts(product: Product, y: usize, stride: usize, bias: usize): void {
  for (let row: u32 = 0; row < product.rows; row++) {
    const sums = product.sums + (row / 2) * product.panels * TILE_BYTES + (row & 1) * PANEL_STEP;
    for (let n: u32 = 0; n < product.columns; n += ACROSS) {
      const at = <usize> n * 4;
      const columns = min(ACROSS, product.columns - n);
      putSix(sums + (n / ACROSS) * TILE_BYTES, columns, y + at, bias ? bias + at : 0);
    }
    y += stride;
  }
}

/** Writes up to six sums of lanes. */
function putSix(sums: usize, columns: u32, y: usize, bias: usize): void {
  const s4 = v128.load(sums, 64);
  const s5 = v128.load(sums, 80);
  let two = sumsOf(s4, s5, s4, s5);
  let four = sumsOf(
    v128.load(sums),
    v128.load(sums, 16),
    v128.load(sums, 32),
    v128.load(sums, 48),
  );
  if (columns == ACROSS) {
    if (bias) {
      four = f32x4.add(four, v128.load(bias));
      two = f32x4.add(two, v128.load(bias, 16));
    }
    v128.store(y, four);
    v128.store64_lane(y, two, 0, 16);
    return;
  }
  v128.store(sums, four);
  v128.store(sums, two, 16);
  for (let n: u32 = 0; n < columns; n++) put(y, load<f32>(sums + <usize> n * 4), bias, n);
}

/** Puts a sum, with its bias where there is one. */
export function put(y: usize, sum: f32, bias: usize, n: usize): void {
  store<f32>(y + n * 4, bias ? sum + load<f32>(bias + n * 4) : sum);
}
