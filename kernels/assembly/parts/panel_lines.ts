import { transposeFour } from "./transpose";

/** Rows of a task, each in a lane of its own from the first sum to the last. */
export const ROWS: u32 = 32;
/** Bytes of a column of a task. */
export const LINE: usize = 4 * 32;
const MOST_COLUMNS: usize = 256;
/** Bytes of a task's columns of a block. */
export const MATRIX_BYTES: usize = MOST_COLUMNS * LINE;

/** Adds to what later blocks feed back the products with later columns, the nearest one first. */
export function addFeedback(factor: usize, deltas: usize, columns: u32, feedback: usize): void {
  let s0 = v128.load(feedback);
  let s1 = v128.load(feedback, 16);
  let s2 = v128.load(feedback, 32);
  let s3 = v128.load(feedback, 48);
  let s4 = v128.load(feedback, 64);
  let s5 = v128.load(feedback, 80);
  let s6 = v128.load(feedback, 96);
  let s7 = v128.load(feedback, 112);
  const end = factor + <usize> columns * 4;
  for (let at = factor + 4; at < end; at += 4) {
    deltas += LINE;
    const f = v128.load_splat<f32>(at);
    s0 = f32x4.add(s0, f32x4.mul(v128.load(deltas), f));
    s1 = f32x4.add(s1, f32x4.mul(v128.load(deltas, 16), f));
    s2 = f32x4.add(s2, f32x4.mul(v128.load(deltas, 32), f));
    s3 = f32x4.add(s3, f32x4.mul(v128.load(deltas, 48), f));
    s4 = f32x4.add(s4, f32x4.mul(v128.load(deltas, 64), f));
    s5 = f32x4.add(s5, f32x4.mul(v128.load(deltas, 80), f));
    s6 = f32x4.add(s6, f32x4.mul(v128.load(deltas, 96), f));
    s7 = f32x4.add(s7, f32x4.mul(v128.load(deltas, 112), f));
  }
  v128.store(feedback, s0);
  v128.store(feedback, s1, 16);
  v128.store(feedback, s2, 32);
  v128.store(feedback, s3, 48);
  v128.store(feedback, s4, 64);
  v128.store(feedback, s5, 80);
  v128.store(feedback, s6, 96);
  v128.store(feedback, s7, 112);
}

/** A value of each row; behind the last one nothing is looked at. */
export function gather(from: usize, next: usize, rows: u32, to: usize): void {
  for (let r: u32 = 0; r < rows; r++) store<f32>(to + r * 4, load<f32>(from + r * next));
}

/** Columns of rows as rows; the last row stands for those behind it. */
export function turnIn(from: usize, next: usize, rows: u32, columns: u32, to: usize): void {
  for (let r: u32 = 0; r < rows; r += 4) {
    const row0 = from + r * next;
    const row1 = from + min(r + 1, rows - 1) * next;
    const row2 = from + min(r + 2, rows - 1) * next;
    const row3 = from + min(r + 3, rows - 1) * next;
    for (let c: usize = 0; c < columns; c += 4) {
      const b = c * 4;
      transposeFour(row0 + b, row1 + b, row2 + b, row3 + b, to + c * LINE + r * 4, LINE);
    }
  }
}

/** Back to rows of columns. */
export function turnOut(from: usize, rows: u32, columns: u32, to: usize, next: usize): void {
  for (let r: u32 = 0; r < rows; r += 4) {
    for (let c: u32 = 0; c < columns; c += 4) {
      const line = from + c * LINE + r * 4;
      const at = to + r * next + c * 4;
      if (r + 4 <= rows && c + 4 <= columns) {
        transposeFour(line, line + LINE, line + 2 * LINE, line + 3 * LINE, at, next);
        continue;
      }
      for (let i: u32 = 0; i < min<u32>(4, rows - r); i++) {
        for (let j: u32 = 0; j < min<u32>(4, columns - c); j++) {
          store<f32>(at + i * next + j * 4, load<f32>(line + j * LINE + i * 4));
        }
      }
    }
  }
}
