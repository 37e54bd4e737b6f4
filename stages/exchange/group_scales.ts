import type { PartValues } from "./part_values.ts";

/** Where the numbers of groups lie in a file. */
export interface GroupPart {
  /** The tensor's name. */
  readonly tensor: string;
  /** Outputs of the linear. */
  readonly rows: number;
  /** Groups of a row. */
  readonly groups: number;
}

/** Half a unit in the last place of half precision, relative: what rounding to it may change. */
const ROUNDING = 2 ** -11;

/** Numbers of groups [rows, groups] as most programs store them, [groups, rows]. */
export function groupMajor(
  values: Float16Array | Float32Array,
  { rows, groups }: Pick<GroupPart, "rows" | "groups">,
): Float16Array<ArrayBuffer> {
  const turned = new Float16Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let g = 0; g < groups; g++) turned[g * rows + row] = values[row * groups + g]!;
  }
  return turned;
}

/**
 * Numbers of groups of a file, [groups, rows], in half precision as [rows, groups].
 *
 * Wider types are rounded to half precision, where that changes a number by no more than 2^-11 of
 * itself; bfloat16 numbers from 2^-17 to 65280 are kept exactly.
 */
export function readGroups(
  values: PartValues,
  { tensor, rows, groups }: GroupPart,
): Float16Array<ArrayBuffer> {
  const read = new Float16Array(rows * groups);
  for (let g = 0; g < groups; g++) {
    for (let row = 0; row < rows; row++) {
      const value = Number(values[g * rows + row]);
      const to = row * groups + g;
      read[to] = value;
      if (Math.abs(read[to]! - value) <= ROUNDING * Math.abs(value)) continue;
      throw new RangeError(
        `tensor "${tensor}": output ${row}, group ${g} is ${value}, expected a number of half precision`,
      );
    }
  }
  return read;
}

/**
 * Numbers of a file in half precision; throws a sentence that names `each` for one that is not finite
 * or loses more than rounding to 11 binary digits.
 */
export function halfValues(
  values: PartValues,
  { tensor, each }: { readonly tensor: string; readonly each: "output" | "value" },
): Float16Array<ArrayBuffer> {
  const halves = values instanceof Float16Array
    ? values
    : new Float16Array(values as Float32Array<ArrayBuffer>);
  for (let at = 0; at < halves.length; at++) {
    const value = Number(values[at]);
    if (Math.abs(halves[at]! - value) <= ROUNDING * Math.abs(value)) continue;
    const expected = Number.isFinite(value) ? "what half precision holds" : "finite numbers";
    throw new RangeError(`tensor "${tensor}": ${each} ${at} is ${value}, expected ${expected}`);
  }
  return halves;
}
