import type { RowRange } from "./checkpoint.ts";

/** Values of a tensor that are worked on at once, where rows do not depend on each other. */
export const PIECE_VALUES = 2 ** 24;

/** Ranges of rows in which a tensor is read and written; all at once where all rows are needed. */
export function rowPieces(
  shape: readonly number[],
  { whole = false }: { readonly whole?: boolean } = {},
): RowRange[] {
  const [rows = 1, ...inner] = shape;
  const width = inner.reduce((product, axis) => product * axis, 1);
  const step = whole ? rows : Math.max(1, Math.floor(PIECE_VALUES / width));
  return Array.from({ length: Math.ceil(rows / step) }, (_, i) => ({
    start: i * step,
    end: Math.min(rows, (i + 1) * step),
  }));
}
