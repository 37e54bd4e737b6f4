import { joined, multiplyAdd, sumsOf } from "./floats";

/** Inner values that a panel holds, so many that it stays in the nearest cache. */
export const DEEP: u32 = 768;
/** From eight values of a column in a panel to the next eight. */
export const PANEL_STEP: usize = 192;
/** Columns of a panel: with two rows, sums and what they take in fill the registers. */
const ACROSS: u32 = 6;
/** Bytes of the sums of a row by a panel. */
const ROW_BYTES: usize = 192;

/**
 * Products of some rows and columns in the making. Every value is the sum of eight chains, one for each
 * remainder of the inner index by eight, whatever the block: its bits depend on its operands alone.
 */
@unmanaged
export class Product {
  rows: u32;
  columns: u32;
  /** The first inner value, and behind the last one. */
  begin: u32;
  end: u32;
  /** Inner values that lie in panels now: from where on, and how many. */
  from: u32;
  deep: u32;
  /** Where the rows begin, and bytes from one to the next. */
  x: usize;
  stride: usize;
  /** The same of what is written, and a bias or 0. */
  y: usize;
  next: usize;
  bias: usize;
  /** Sums of all tiles, or of one alone where panels hold all of the inner index. */
  sums: usize;
  tile_bytes: usize;
  /** Sums to begin with. */
  zeros: usize;
  /** Six columns a panel, one panel behind the other: eight values of each column side by side. */
  panel: usize;
}

/** Begins products in memory of the thread. */
export function beginProduct(
  scratch: usize,
  rows: u32,
  columns: u32,
  begin: u32,
  end: u32,
): Product {
  const product = changetype<Product>(scratch);
  product.rows = rows;
  product.columns = columns;
  product.begin = begin;
  product.end = end;
  product.zeros = scratch + 128;
  product.sums = product.zeros + 2 * ROW_BYTES;
  product.tile_bytes = end - begin > DEEP ? 2 * ROW_BYTES : 0;
  const tiles = <usize> ((rows + 1) / 2) * ((columns + ACROSS - 1) / ACROSS);
  product.panel = product.sums + max(tiles * product.tile_bytes, 2 * ROW_BYTES);
  memory.fill(product.zeros, 0, 2 * ROW_BYTES);
  return product;
}

/** Goes to the next inner values; gives whether there are any. */
export function nextPanels(product: Product, from: u32): bool {
  product.from = from;
  product.deep = min(DEEP, product.end - from);
  return from < product.end;
}

/** Where the values of a column go, as floats. */
export function panelColumn(product: Product, column: u32): usize {
  const inside = <usize> (column % ACROSS) * 32;
  return product.panel + <usize> (column / ACROSS) * product.deep * ACROSS * 4 + inside;
}

/** Adds the products with what lies in panels, and writes them behind the last ones. */
export function addProducts(product: Product): void {
  const bytes = <usize> product.deep * ACROSS * 4;
  const first = product.from == product.begin;
  const last = product.from + product.deep == product.end;
  const stride = product.stride;
  let panel = product.panel;
  let sums = product.sums;
  for (let column: u32 = 0; column < product.columns; column += ACROSS) {
    let x = product.x + <usize> product.from * 4;
    for (let row: u32 = 0; row < product.rows; row += 2) {
      const held = first ? product.zeros : sums;
      const two = row + 1 < product.rows;
      if (two) addTwo(x, x + stride, panel, panel + bytes, held, sums);
      else addOne(x, panel, panel + bytes, held, sums);
      if (last) put(product, row, column, sums);
      if (last && two) put(product, row + 1, column, sums + ROW_BYTES);
      x += 2 * stride;
      sums += product.tile_bytes;
    }
    panel += bytes;
  }
}

/** Two rows by a panel; sums go on from \`held\`. */
function addTwo(a: usize, b: usize, panel: usize, end: usize, held: usize, sums: usize): void {
  let a0l = v128.load(held);
  let a0h = v128.load(held, 16);
  let a1l = v128.load(held, 32);
  let a1h = v128.load(held, 48);
  let a2l = v128.load(held, 64);
  let a2h = v128.load(held, 80);
  let a3l = v128.load(held, 96);
  let a3h = v128.load(held, 112);
  let a4l = v128.load(held, 128);
  let a4h = v128.load(held, 144);
  let a5l = v128.load(held, 160);
  let a5h = v128.load(held, 176);
  let b0l = v128.load(held, 192);
  let b0h = v128.load(held, 208);
  let b1l = v128.load(held, 224);
  let b1h = v128.load(held, 240);
  let b2l = v128.load(held, 256);
  let b2h = v128.load(held, 272);
  let b3l = v128.load(held, 288);
  let b3h = v128.load(held, 304);
  let b4l = v128.load(held, 320);
  let b4h = v128.load(held, 336);
  let b5l = v128.load(held, 352);
  let b5h = v128.load(held, 368);
  for (; panel < end; panel += PANEL_STEP) {
    const al = v128.load(a);
    const ah = v128.load(a, 16);
    const bl = v128.load(b);
    const bh = v128.load(b, 16);
    let l = v128.load(panel);
    let h = v128.load(panel, 16);
    a0l = multiplyAdd(al, l, a0l);
    a0h = multiplyAdd(ah, h, a0h);
    b0l = multiplyAdd(bl, l, b0l);
    b0h = multiplyAdd(bh, h, b0h);
    l = v128.load(panel, 32);
    h = v128.load(panel, 48);
    a1l = multiplyAdd(al, l, a1l);
    a1h = multiplyAdd(ah, h, a1h);
    b1l = multiplyAdd(bl, l, b1l);
    b1h = multiplyAdd(bh, h, b1h);
    l = v128.load(panel, 64);
    h = v128.load(panel, 80);
    a2l = multiplyAdd(al, l, a2l);
    a2h = multiplyAdd(ah, h, a2h);
    b2l = multiplyAdd(bl, l, b2l);
    b2h = multiplyAdd(bh, h, b2h);
    l = v128.load(panel, 96);
    h = v128.load(panel, 112);
    a3l = multiplyAdd(al, l, a3l);
    a3h = multiplyAdd(ah, h, a3h);
    b3l = multiplyAdd(bl, l, b3l);
    b3h = multiplyAdd(bh, h, b3h);
    l = v128.load(panel, 128);
    h = v128.load(panel, 144);
    a4l = multiplyAdd(al, l, a4l);
    a4h = multiplyAdd(ah, h, a4h);
    b4l = multiplyAdd(bl, l, b4l);
    b4h = multiplyAdd(bh, h, b4h);
    l = v128.load(panel, 160);
    h = v128.load(panel, 176);
    a5l = multiplyAdd(al, l, a5l);
    a5h = multiplyAdd(ah, h, a5h);
    b5l = multiplyAdd(bl, l, b5l);
    b5h = multiplyAdd(bh, h, b5h);
    a += 32;
    b += 32;
  }
  v128.store(sums, a0l);
  v128.store(sums, a0h, 16);
  v128.store(sums, a1l, 32);
  v128.store(sums, a1h, 48);
  v128.store(sums, a2l, 64);
  v128.store(sums, a2h, 80);
  v128.store(sums, a3l, 96);
  v128.store(sums, a3h, 112);
  v128.store(sums, a4l, 128);
  v128.store(sums, a4h, 144);
  v128.store(sums, a5l, 160);
  v128.store(sums, a5h, 176);
  v128.store(sums, b0l, 192);
  v128.store(sums, b0h, 208);
  v128.store(sums, b1l, 224);
  v128.store(sums, b1h, 240);
  v128.store(sums, b2l, 256);
  v128.store(sums, b2h, 272);
  v128.store(sums, b3l, 288);
  v128.store(sums, b3h, 304);
  v128.store(sums, b4l, 320);
  v128.store(sums, b4h, 336);
  v128.store(sums, b5l, 352);
  v128.store(sums, b5h, 368);
}

/** A row by a panel. */
function addOne(a: usize, panel: usize, end: usize, held: usize, sums: usize): void {
  let s0l = v128.load(held);
  let s0h = v128.load(held, 16);
  let s1l = v128.load(held, 32);
  let s1h = v128.load(held, 48);
  let s2l = v128.load(held, 64);
  let s2h = v128.load(held, 80);
  let s3l = v128.load(held, 96);
  let s3h = v128.load(held, 112);
  let s4l = v128.load(held, 128);
  let s4h = v128.load(held, 144);
  let s5l = v128.load(held, 160);
  let s5h = v128.load(held, 176);
  for (; panel < end; panel += PANEL_STEP) {
    const l = v128.load(a);
    const h = v128.load(a, 16);
    s0l = multiplyAdd(l, v128.load(panel), s0l);
    s0h = multiplyAdd(h, v128.load(panel, 16), s0h);
    s1l = multiplyAdd(l, v128.load(panel, 32), s1l);
    s1h = multiplyAdd(h, v128.load(panel, 48), s1h);
    s2l = multiplyAdd(l, v128.load(panel, 64), s2l);
    s2h = multiplyAdd(h, v128.load(panel, 80), s2h);
    s3l = multiplyAdd(l, v128.load(panel, 96), s3l);
    s3h = multiplyAdd(h, v128.load(panel, 112), s3h);
    s4l = multiplyAdd(l, v128.load(panel, 128), s4l);
    s4h = multiplyAdd(h, v128.load(panel, 144), s4h);
    s5l = multiplyAdd(l, v128.load(panel, 160), s5l);
    s5h = multiplyAdd(h, v128.load(panel, 176), s5h);
    a += 32;
  }
  v128.store(sums, s0l);
  v128.store(sums, s0h, 16);
  v128.store(sums, s1l, 32);
  v128.store(sums, s1h, 48);
  v128.store(sums, s2l, 64);
  v128.store(sums, s2h, 80);
  v128.store(sums, s3l, 96);
  v128.store(sums, s3h, 112);
  v128.store(sums, s4l, 128);
  v128.store(sums, s4h, 144);
  v128.store(sums, s5l, 160);
  v128.store(sums, s5h, 176);
}

/** Writes a row's sums of a panel, with their bias where there is one. */
function put(product: Product, row: u32, column: u32, sums: usize): void {
  const count = min(ACROSS, product.columns - column);
  const at = <usize> column * 4;
  const y = product.y + row * product.next + at;
  const s4 = joined(sums + 128);
  const s5 = joined(sums + 160);
  let two = sumsOf(s4, s5, s4, s5);
  let four = sumsOf(joined(sums), joined(sums + 32), joined(sums + 64), joined(sums + 96));
  if (count == ACROSS) {
    if (product.bias) {
      four = f32x4.add(four, v128.load(product.bias + at));
      two = f32x4.add(two, v128.load(product.bias + at, 16));
    }
    v128.store(y, four);
    v128.store64_lane(y, two, 0, 16);
    return;
  }
  v128.store(sums, four);
  v128.store(sums, two, 16);
  for (let n: usize = 0; n < count; n++) {
    const sum = load<f32>(sums + n * 4);
    store<f32>(y + n * 4, product.bias ? sum + load<f32>(product.bias + at + n * 4) : sum);
  }
}
