import { nibblePairs } from "./nibble_tile";
import { sumsOfLanes } from "./packed_rows";

/** Two vectors of sums of a row by a column; those of a row by four columns. */
const PAIR_BYTES: usize = 32;
const ROW_BYTES: usize = 128;

/**
 * Exact sums of rows of packed signed bytes by four columns of unsigned nibbles over a group, filled up with zeros in
 * rows to whole blocks: as many rows as `R` has bytes, 1, 2 or 4. A row's sums go to 16 bytes from `to`, behind which
 * they lie in pairs before. At `mask` there is 15 in each byte, at `ones` 1 in each 16 bits.
 */
export function groupTile<R>(
  x: usize,
  stride: usize,
  c0: usize,
  c1: usize,
  c2: usize,
  c3: usize,
  blocks: usize,
  mask: usize,
  ones: usize,
  to: usize,
): void {
  const pairs = to + 64;
  nibblePairs<R, u16>(x, stride, c0, c1, blocks, ones, 0, mask, pairs);
  nibblePairs<R, u16>(x, stride, c2, c3, blocks, ones, 0, mask, pairs + 2 * PAIR_BYTES);
  for (let row: usize = 0; row < sizeof<R>(); row++) {
    const from = pairs + row * ROW_BYTES;
    const made = sumsOfLanes(joined(from), joined(from + 32), joined(from + 64), joined(from + 96));
    v128.store(to + 16 * row, made);
  }
}

function joined(pair: usize): v128 {
  return i32x4.add(v128.load(pair), v128.load(pair, 16));
}
