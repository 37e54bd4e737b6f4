import type { RowRange } from "../formats/checkpoint.ts";
import { rowPieces } from "../formats/rows.ts";
import type { LinearOutline } from "../models/site.ts";
import { rowsApart, type WeightMethod } from "../quant/quantize_weight.ts";
import type { WeightScheme } from "../quant/schemes.ts";

/**
 * Bytes on the host for a value that is quantized: as read, in its domain and order, its codes and what
 * they stand for, of the best attempt and of the one beside it.
 */
export const VALUE_BYTES = 96;

/** Values that are quantized at once at least, with which launches are large enough. */
const LEAST = 2 ** 20;

/** Values that are quantized at once, where rows stand apart, with so many bytes for the data of the work. */
export function valuesAtOnce(memoryBytes: number): number {
  return Math.max(LEAST, Math.floor(memoryBytes / 8 / VALUE_BYTES));
}

/** The rows of a linear in pieces that are quantized one after another; all where their codes hang together. */
export function quantizedPieces(
  { rows, columns }: Pick<LinearOutline, "rows" | "columns">,
  weights: WeightScheme,
  { range, share = 1 }: Pick<WeightMethod, "range" | "share">,
  values: number,
): RowRange[] {
  // Rows that share a scale are as one.
  const shape = [rows / share, columns * share];
  const whole = !rowsApart({ scheme: weights, range });
  return rowPieces(shape, { whole, values })
    .map(({ start, end }) => ({ start: start * share, end: end * share }));
}
