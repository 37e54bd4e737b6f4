import { multiplyAdd } from "./parts/floats";

@unmanaged
class Args {
  panel: usize;
  failed: usize;
  rows: u32;
  columns: u32;
  first: u32;
  /** Columns behind the diagonal block of a task; 0 makes the block itself. */
  task_columns: u32;
}

/** Rows that are made together. */
const FOUR: u32 = 4;
/** Most rows of a panel. */
const MOST_ROWS: usize = 256;

/**
 * The diagonal block is one task, some of the columns behind it are another. What is made lies in
 * the thread's memory with its sign turned until its row is done, for sums add products.
 */
export function choleskyPanel(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const diagonal = args.task_columns == 0;
  const from = args.first + (diagonal ? 0 : args.rows + task * args.task_columns);
  const columns = diagonal ? args.rows : min(args.task_columns, args.columns - from);
  const bytes = ((<usize> columns + 7) & ~7) * 4;
  const block = scratch;
  const pivots = block + MOST_ROWS * MOST_ROWS * 4;
  const made = pivots + MOST_ROWS * 4;
  if (!diagonal) packBlock(args, block, pivots);
  turn(args.panel + <usize> from * 4, <usize> args.columns * 4, args.rows, columns, made, bytes);
  for (let row: u32 = 0; row < args.rows; row += FOUR) {
    const rows = min(FOUR, args.rows - row);
    const lines = made + row * bytes;
    const start = diagonal ? <usize> row * 4 : 0;
    // Rows of the block lie by fours behind it, and among what is made within it.
    const factors = diagonal ? made + start : block + row * args.rows * 4;
    const next = diagonal ? bytes : FOUR * 4;
    for (let c = start & ~31; c < bytes; c += 32) {
      addRows(factors, next, made + c, bytes, row, lines + c);
    }
    const corner = factors + row * next;
    if (diagonal) makeCorner(corner, bytes, rows, pivots + start, args.failed);
    const behind = diagonal ? start + FOUR * 4 : 0;
    for (let c = behind; c < bytes; c += 16) {
      finishRows(corner, next, pivots + <usize> row * 4, lines + c, bytes, rows);
    }
  }
  const panel = args.panel + <usize> from * 4;
  for (let row: u32 = 0; row < args.rows; row++) {
    const to = panel + <usize> row * args.columns * 4;
    const line = made + row * bytes;
    let c = diagonal ? row : 0;
    for (; c + 4 <= columns; c += 4) {
      v128.store(to + <usize> c * 4, v128.load(line + <usize> c * 4));
    }
    for (; c < columns; c++) store<f32>(to + <usize> c * 4, load<f32>(line + <usize> c * 4));
  }
}

/** Rows above each four of the diagonal block, four columns of them by four, and the pivots. */
function packBlock(args: Args, block: usize, pivots: usize): void {
  for (let row: u32 = 0; row < args.rows; row++) {
    const line = args.panel + (<usize> row * args.columns + args.first) * 4;
    store<f32>(pivots + <usize> row * 4, load<f32>(line + <usize> row * 4));
    for (let c = row & ~3; c < args.rows; c += FOUR) {
      const to = block + <usize> (c * args.rows + row * FOUR) * 4;
      v128.store(to, v128.load(line + <usize> c * 4));
    }
  }
}

/** Copies a matrix with signs turned, behind it zeros up to whole fours of rows. */
function turn(
  from: usize,
  next: usize,
  rows: u32,
  columns: u32,
  to: usize,
  bytes: usize,
): void {
  for (let row: u32 = 0; row < rows; row++) {
    for (let c: usize = 0; c < <usize> columns * 4; c += 16) {
      v128.store(to + row * bytes + c, f32x4.neg(v128.load(from + row * next + c)));
    }
  }
  const padded = (rows + 3) & ~3;
  memory.fill(to + rows * bytes, 0, (padded - rows) * bytes);
}

/** Adds to four rows of eight columns the products with all rows above. */
function addRows(
  factors: usize,
  nextFactors: usize,
  above: usize,
  next: usize,
  count: u32,
  lines: usize,
): void {
  const line1 = lines + next;
  const line2 = line1 + next;
  const line3 = line2 + next;
  let s00 = v128.load(lines);
  let s01 = v128.load(lines, 16);
  let s10 = v128.load(line1);
  let s11 = v128.load(line1, 16);
  let s20 = v128.load(line2);
  let s21 = v128.load(line2, 16);
  let s30 = v128.load(line3);
  let s31 = v128.load(line3, 16);
  for (let t: u32 = 0; t < count; t++) {
    const b0 = v128.load(above);
    const b1 = v128.load(above, 16);
    let a = v128.load_splat<f32>(factors);
    s00 = multiplyAdd(a, b0, s00);
    s01 = multiplyAdd(a, b1, s01);
    a = v128.load_splat<f32>(factors + 4);
    s10 = multiplyAdd(a, b0, s10);
    s11 = multiplyAdd(a, b1, s11);
    a = v128.load_splat<f32>(factors + 8);
    s20 = multiplyAdd(a, b0, s20);
    s21 = multiplyAdd(a, b1, s21);
    a = v128.load_splat<f32>(factors + 12);
    s30 = multiplyAdd(a, b0, s30);
    s31 = multiplyAdd(a, b1, s31);
    above += next;
    factors += nextFactors;
  }
  v128.store(lines, s00);
  v128.store(lines, s01, 16);
  v128.store(line1, s10);
  v128.store(line1, s11, 16);
  v128.store(line2, s20);
  v128.store(line2, s21, 16);
  v128.store(line3, s30);
  v128.store(line3, s31, 16);
}

/** The four rows' own square on the diagonal, and their pivots. */
function makeCorner(corner: usize, next: usize, rows: u32, pivots: usize, failed: usize): void {
  for (let row: u32 = 0; row < rows; row++) {
    const line = corner + row * next;
    let pivot = -load<f32>(line + <usize> row * 4);
    if (pivot > 0) {
      pivot = sqrt(pivot);
    } else {
      // 1 lets the work that is under way end; the flag says that it is of no use.
      store<u32>(failed, 1);
      pivot = 1;
    }
    store<f32>(pivots + <usize> row * 4, pivot);
    store<f32>(line + <usize> row * 4, pivot);
    for (let c = row + 1; c < FOUR; c++) {
      const value = load<f32>(line + <usize> c * 4) / -pivot;
      store<f32>(line + <usize> c * 4, value);
    }
    for (let below = row + 1; below < rows; below++) {
      const factor = f32x4.splat(load<f32>(line + <usize> below * 4));
      const at = corner + below * next;
      // What lies left of the diagonal is never written back.
      v128.store(at, multiplyAdd(factor, v128.load(line), v128.load(at)));
    }
  }
}

/** Four columns of four rows: each takes the rows above it in their four, and its pivot. */
function finishRows(
  corner: usize,
  nextCorner: usize,
  pivots: usize,
  lines: usize,
  next: usize,
  rows: u32,
): void {
  for (let row: u32 = 0; row < rows; row++) {
    const line = lines + row * next;
    let sum = v128.load(line);
    for (let t: u32 = 0; t < row; t++) {
      const factor = v128.load_splat<f32>(corner + t * nextCorner + <usize> row * 4);
      sum = multiplyAdd(factor, v128.load(lines + t * next), sum);
    }
    const pivot = f32x4.splat(-load<f32>(pivots + <usize> row * 4));
    v128.store(line, f32x4.div(sum, pivot));
  }
}
