import type { TensorSpec } from "../device/device.ts";
import { describe } from "../device/tensor.ts";
import { checkBounds, type ExpertSpan } from "./expert_rows.ts";

/** Which part of a split weight is multiplied, and where its columns go. */
export interface MatmulOptions {
  /** First row of the weight to use; all from there on unless `rows` says how many. */
  readonly row?: number;
  readonly rows?: number;
  /** Column of `y` that the first of those rows makes. */
  readonly column?: number;
  /** Where rows of `x` are those of experts, as `bounds` tells: whose weights `weight` has. */
  readonly experts?: ExpertSpan;
}

/** Where a product goes: `rows` counts those of `x`, `columns` those made of `y`. */
export interface OutputSizes {
  readonly rows: number;
  readonly columns: number;
  readonly column: number;
  readonly row: number;
  readonly stride: number;
  /** The first expert; 0 without any. */
  readonly expert: number;
}

/**
 * Sizes of what `rows` inputs and a weight of `held` rows give in `y` f32 [rows, stride]; throws
 * where they do not fit together.
 */
export function outputSizes(
  { rows, held, y, bias, bounds }: {
    readonly rows: number;
    readonly held: number;
    readonly y: TensorSpec;
    readonly bias?: TensorSpec | undefined;
    readonly bounds?: TensorSpec | undefined;
  },
  options: MatmulOptions,
): OutputSizes {
  const { row = 0, column = 0, experts } = options;
  const columns = usedColumns(held, options);
  checkBounds(bounds, experts);
  if (experts && (!Number.isInteger(columns) || options.row || options.rows || bias)) {
    throw new RangeError(
      `Cannot use a weight of ${held} rows for ${experts.count} experts: expected as many rows of each, all of them, without bias`,
    );
  }
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
  return { rows, columns, column, row, stride, expert: experts?.first ?? 0 };
}

/** Columns that a weight of `held` rows makes. */
export function usedColumns(held: number, { row = 0, rows, experts }: MatmulOptions): number {
  return experts ? held / experts.count : rows ?? held - row;
}

/** The grid of a launch in tiles, each expert with its own ones; `rows` is that of all of x. */
export function tileGrid(
  { columns, rows }: Pick<OutputSizes, "columns" | "rows">,
  tile: { readonly rows: number; readonly columns: number },
  experts: ExpertSpan | undefined,
): readonly [number, number, number] {
  const across = Math.ceil(columns / tile.columns);
  return [
    across,
    Math.ceil((experts?.most ?? rows) / tile.rows),
    rows > 0 ? experts?.count ?? 1 : 0,
  ];
}

/** Rows and columns of a product that a workgroup makes. */
export function tileSize(rows: number): 16 | 64 {
  return rows > 32 ? 64 : 16;
}
