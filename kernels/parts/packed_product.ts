import type { TensorSpec } from "../device/device.ts";
import { counts, type Launch } from "../device/kernel.ts";
import type { Limits } from "../device/limits.ts";
import { describe } from "../device/tensor.ts";
import {
  type MatmulOptions,
  type OutputSizes,
  outputSizes,
  tileGrid,
  tileSize,
} from "./output_sizes.ts";
import type { ExpertSpan } from "./expert_rows.ts";
import experts from "./expert_rows.wgsl" with { type: "text" };
import few from "./packed_few.wgsl" with { type: "text" };
import subgroup from "./packed_few_subgroup.wgsl" with { type: "text" };
import params from "./packed_product.wgsl" with { type: "text" };

const FEW_ROWS = 8;
const FEW_COLUMNS = 16;
const FEW_THREADS = 256;
/** Threads of a column where they are of one subgroup. */
const LEAST_SHARE = 4;
const MOST_SHARE = 32;
/**
 * Inner values whose products are added up before the sum is added to those of the parts before, by
 * whichever shader runs: a row's bits must not depend on how many rows there are.
 */
const PART = 32;

/** Sizes that decide a product. */
export interface ProductSizes extends OutputSizes {
  readonly inner: number;
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
    readonly bounds?: TensorSpec | undefined;
  },
  options: MatmulOptions,
  { xPerWord, perWord }: { readonly xPerWord: number; readonly perWord: number },
): ProductSizes {
  const { x, weight, y, bias, bounds } = specs;
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
  return { inner, ...outputSizes({ rows, held, y, bias, bounds }, options) };
}

/** Columns of a group; throws unless `group` is a multiple of 8 that divides `inner`. */
export function checkedGroup(group: number, inner: number): number {
  if (group > 0 && group % 8 === 0 && inner % group === 0) return group;
  throw new RangeError(
    `Cannot multiply ${inner} inner values in groups of ${group}: expected a multiple of 8 that divides ${inner}`,
  );
}

/**
 * The sources of a product that differ in how weights are read, which `part` says: `tiles`, and `few`
 * where there are a few rows only, or `subgroup`, which makes the same bits.
 */
export function productShaders(
  { part, tiles }: { readonly part: string; readonly tiles: string },
) {
  return {
    tiles: `${params}\n${part}\n${experts}\n${tiles}`,
    few: `${params}\n${part}\n${experts}\n${few}`,
    subgroup: `${params}\n${part}\n${experts}\n${subgroup}`,
  };
}

/** The launch of a product whose shaders are those of `productShaders`. */
export function productLaunch(
  { rows, inner, columns, column, row, stride, expert }: ProductSizes,
  { group, experts }: { readonly group: number; readonly experts: ExpertSpan | undefined },
  given: Launch<never>["constants"],
  { subgroupThreads = 0, choices }: Limits,
): Launch<never> {
  const sizes = counts({ rows, inner, columns, column, row, stride, group, expert });
  const constants = { ...given, EXPERTS: experts !== undefined };
  // Rows that meet the same weights, at most.
  const together = experts?.most ?? rows;
  if (together <= FEW_ROWS) {
    const few = { ...constants, PART, ROWS: 2 ** Math.ceil(Math.log2(Math.max(1, together))) };
    if (choices?.subgroups && subgroupThreads >= LEAST_SHARE) {
      const SHARE = Math.min(MOST_SHARE, subgroupThreads);
      const tile = { rows: FEW_ROWS, columns: FEW_THREADS / SHARE };
      return {
        shader: "subgroup",
        outputs: {},
        constants: { ...few, SHARE },
        params: sizes,
        grid: tileGrid({ rows, columns }, tile, experts),
        subgroups: true,
      };
    }
    return {
      shader: "few",
      outputs: {},
      constants: few,
      params: sizes,
      grid: tileGrid({ rows, columns }, { rows: FEW_ROWS, columns: FEW_COLUMNS }, experts),
    };
  }
  const TILE = tileSize(together);
  return {
    shader: "tiles",
    outputs: {},
    constants: { ...constants, PART, TILE },
    params: sizes,
    grid: tileGrid({ rows, columns }, { rows: TILE, columns: TILE }, experts),
    // One for 16 values, two to load those of each factor, 17 to add them; or fewer.
    turns: 22 * Math.ceil(inner / 16),
  };
}
