import type { TensorSpec } from "../device/device.ts";
import { describe } from "../device/tensor.ts";

/** Which part of a split weight is multiplied, and where its columns go. */
export interface MatmulOptions {
  /** First row of the weight to use; all from there on unless `rows` says how many. */
  readonly row?: number;
  readonly rows?: number;
  /** Column of `y` that the first of those rows makes. */
  readonly column?: number;
}

/** Where a product goes: `rows` counts those of `x`, `columns` those made of `y`. */
export interface OutputSizes {
  readonly rows: number;
  readonly columns: number;
  readonly column: number;
  readonly row: number;
  readonly stride: number;
}

/**
 * Sizes of what `rows` inputs and a weight of `held` rows give in `y` f32 [rows, stride]; throws
 * where they do not fit together.
 */
export function outputSizes(
  { rows, held, y, bias }: {
    readonly rows: number;
    readonly held: number;
    readonly y: TensorSpec;
    readonly bias?: TensorSpec | undefined;
  },
  { row = 0, rows: wanted, column = 0 }: MatmulOptions,
): OutputSizes {
  const columns = wanted ?? held - row;
  if (row < 0 || columns < 0 || row + columns > held) {
    throw new RangeError(`Cannot use weight rows ${row} to ${row + columns}: there are ${held}`);
  }
  const [yRows, stride] = y.shape;
  if (yRows !== rows || stride === undefined || column + columns > stride) {
    throw new RangeError(
      `Cannot write columns ${column} to ${column + columns} of y ${
        describe(y)
      }: expected [${rows}, at least ${column + columns}]`,
    );
  }
  if (bias && bias.shape[0] !== stride) {
    throw new RangeError(`Cannot add bias ${describe(bias)}: expected f32[${stride}]`);
  }
  return { rows, columns, column, row, stride };
}

/** Rows and columns of a product that a workgroup makes. */
export function tileSize(rows: number): 16 | 64 {
  return rows > 32 ? 64 : 16;
}
