import { multiplyAdd } from "./parts/floats";
import { transform } from "./parts/walsh_hadamard";

@unmanaged
class Args {
  x: usize;
  left: usize;
  y: usize;
  rows: u32;
  order: u32;
  scale: f32;
  right: u32;
  /** Rows of a task, and of each some blocks of `right` values. */
  task_rows: u32;
  task_blocks: u32;
}

/** Some blocks of some rows are a task: each block is mixed of all, then transformed where it lies. */
export function hadamard(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const across = (args.order + args.task_blocks - 1) / args.task_blocks;
  const block = (task % across) * args.task_blocks;
  const blocks = min(args.task_blocks, args.order - block);
  const first = (task / across) * args.task_rows;
  const end = min(first + args.task_rows, args.rows);
  const order = <usize> args.order;
  const bytes = <usize> args.right * 4;
  const scale = args.scale;
  for (let row: usize = first; row < end; row++) {
    const x = args.x + row * order * bytes;
    const y = args.y + row * order * bytes + block * bytes;
    if (args.right < 4) {
      sparse(x, args.left, order, args.right, block, blocks, scale, y);
      continue;
    }
    if (args.left) mix(x, args.left + <usize> block * 4, order, bytes, blocks, scratch, y);
    const from = args.left ? y : x;
    for (let at: usize = 0; at < blocks * bytes; at += bytes) {
      transform(from + at, bytes, scale, y + at);
    }
  }
}

/** Blocks of one or two values, entry by entry. */
function sparse(
  x: usize,
  left: usize,
  order: usize,
  right: usize,
  block: usize,
  blocks: usize,
  scale: f32,
  y: usize,
): void {
  for (let j: usize = 0; j < blocks; j++) {
    for (let c: usize = 0; c < right; c++) {
      let sum: f32 = 0;
      for (let i: usize = 0; i < order; i++) {
        const from = x + i * right * 4;
        let value = load<f32>(from);
        if (right == 2) value = c ? value - load<f32>(from, 4) : value + load<f32>(from, 4);
        sum += left ? load<f32>(left + (i * order + block + j) * 4) * value : value;
      }
      store<f32>(y + (j * right + c) * 4, sum * scale);
    }
  }
}

/**
 * Blocks of y, a multiple of four, as sums of all blocks of x times the entries of columns of
 * `left`, in the order of the blocks.
 */
function mix(
  x: usize,
  left: usize,
  order: usize,
  bytes: usize,
  blocks: usize,
  panel: usize,
  y: usize,
): void {
  let at: usize = 0;
  for (; at + 32 <= bytes; at += 32) {
    // The same eight values of all blocks, side by side.
    for (let i: usize = 0; i < order; i++) {
      v128.store(panel + i * 32, v128.load(x + i * bytes + at));
      v128.store(panel + i * 32, v128.load(x + i * bytes + at, 16), 16);
    }
    for (let j: usize = 0; j < blocks; j += 4) {
      eights(panel, left + j * 4, order, bytes, y + j * bytes + at);
    }
  }
  if (at < bytes) {
    for (let j: usize = 0; j < blocks; j += 4) {
      quads(x, left + j * 4, order, y + j * bytes);
    }
  }
}

/** Eight values of four blocks. */
function eights(panel: usize, left: usize, order: usize, bytes: usize, y: usize): void {
  let s00 = f32x4.splat(0);
  let s01 = f32x4.splat(0);
  let s10 = f32x4.splat(0);
  let s11 = f32x4.splat(0);
  let s20 = f32x4.splat(0);
  let s21 = f32x4.splat(0);
  let s30 = f32x4.splat(0);
  let s31 = f32x4.splat(0);
  const end = panel + order * 32;
  for (; panel < end; panel += 32) {
    const low = v128.load(panel);
    const high = v128.load(panel, 16);
    let factor = v128.load32_splat(left);
    s00 = multiplyAdd(low, factor, s00);
    s01 = multiplyAdd(high, factor, s01);
    factor = v128.load32_splat(left + 4);
    s10 = multiplyAdd(low, factor, s10);
    s11 = multiplyAdd(high, factor, s11);
    factor = v128.load32_splat(left + 8);
    s20 = multiplyAdd(low, factor, s20);
    s21 = multiplyAdd(high, factor, s21);
    factor = v128.load32_splat(left + 12);
    s30 = multiplyAdd(low, factor, s30);
    s31 = multiplyAdd(high, factor, s31);
    left += order * 4;
  }
  v128.store(y, s00);
  v128.store(y, s01, 16);
  v128.store(y + bytes, s10);
  v128.store(y + bytes, s11, 16);
  v128.store(y + 2 * bytes, s20);
  v128.store(y + 2 * bytes, s21, 16);
  v128.store(y + 3 * bytes, s30);
  v128.store(y + 3 * bytes, s31, 16);
}

/** Four blocks of four values. */
function quads(x: usize, left: usize, order: usize, y: usize): void {
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let s2 = f32x4.splat(0);
  let s3 = f32x4.splat(0);
  for (let i: usize = 0; i < order; i++) {
    const value = v128.load(x + i * 16);
    s0 = multiplyAdd(value, v128.load32_splat(left), s0);
    s1 = multiplyAdd(value, v128.load32_splat(left + 4), s1);
    s2 = multiplyAdd(value, v128.load32_splat(left + 8), s2);
    s3 = multiplyAdd(value, v128.load32_splat(left + 12), s3);
    left += order * 4;
  }
  v128.store(y, s0);
  v128.store(y, s1, 16);
  v128.store(y, s2, 32);
  v128.store(y, s3, 48);
}
