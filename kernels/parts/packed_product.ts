import type { Limits, TensorSpec } from "../device/device.ts";
import type { Plan } from "../device/kernel.ts";
import { describe } from "../device/tensor.ts";
import type { MatmulOptions } from "../matmul.ts";

const LANE_TILE_ROWS = 8;
const LANE_TILE_COLUMNS = 64;
const FEW_ROWS = 8;
const FEW_COLUMNS = 8;

/** Sizes that decide a product; `rows` counts those of `x`, `columns` those made of `y`. */
export interface ProductSizes {
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  readonly column: number;
  readonly row: number;
  readonly stride: number;
}

/**
 * Sizes of `x` times a packed weight u32 [outputs, inner / `perWord`] into `y` f32 [tokens, stride];
 * throws where they do not fit together. `xPerWord` is how many values an element of `x` holds.
 */
export function productSizes(
  specs: {
    readonly x: TensorSpec;
    readonly weight: TensorSpec;
    readonly y: TensorSpec;
    readonly bias?: TensorSpec | undefined;
  },
  { row = 0, rows: wanted, column = 0 }: MatmulOptions,
  { xPerWord, perWord }: { readonly xPerWord: number; readonly perWord: number },
): ProductSizes {
  const { x, weight, y, bias } = specs;
  const [rows, width] = x.shape;
  if (rows === undefined || width === undefined || x.shape.length !== 2) {
    throw new RangeError(`Cannot multiply x: it is ${describe(x)}, expected two axes`);
  }
  const inner = width * xPerWord;
  if (inner % 8 !== 0) {
    throw new RangeError(
      `Cannot multiply x ${describe(x)}: it has ${inner} values a row, expected a multiple of 8`,
    );
  }
  const [held] = weight.shape;
  if (held === undefined || weight.dtype !== "u32" || weight.shape[1] !== inner / perWord) {
    throw new RangeError(
      `Cannot multiply ${describe(x)} by weight ${describe(weight)}: expected u32[outputs, ${
        inner / perWord
      }]`,
    );
  }
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
  return { rows, inner, columns, column, row, stride };
}

/** Columns of a group; throws unless `group` is a multiple of 8 that divides `inner`. */
export function checkedGroup(group: number, inner: number): number {
  if (group > 0 && group % 8 === 0 && inner % group === 0) return group;
  throw new RangeError(
    `Cannot multiply ${inner} inner values in groups of ${group}: expected a multiple of 8 that divides ${inner}`,
  );
}

/**
 * The launch of a product whose shaders are `lanes` for the software adapter, `tiles` for others, and
 * `few` for those where the weights are read for a few rows only.
 */
export function productPlan(
  { rows, inner, columns, column, row, stride }: ProductSizes,
  group: number,
  constants: Readonly<Record<string, boolean>>,
  limits: Limits,
): Plan<never> {
  const params = {
    rows: { u32: rows },
    inner: { u32: inner },
    columns: { u32: columns },
    column: { u32: column },
    row: { u32: row },
    stride: { u32: stride },
    group: { u32: group },
  };
  if (limits.adapter === "software" && limits.subgroup === 8) {
    return {
      shader: "lanes",
      outputs: {},
      constants: { ...constants, MANY: rows > 1 },
      params,
      grid: [Math.ceil(columns / LANE_TILE_COLUMNS), Math.ceil(rows / LANE_TILE_ROWS), 1],
    };
  }
  if (rows <= FEW_ROWS) {
    return {
      shader: "few",
      outputs: {},
      constants: { ...constants, ROWS: 2 ** Math.ceil(Math.log2(Math.max(1, rows))) },
      params,
      grid: [Math.ceil(columns / FEW_COLUMNS), Math.min(1, rows), 1],
    };
  }
  const TILE = rows > 32 ? 64 : 16;
  return {
    shader: "tiles",
    outputs: {},
    constants: { ...constants, TILE },
    params,
    grid: [Math.ceil(columns / TILE), Math.ceil(rows / TILE), 1],
  };
}
