import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import wgsl from "./copy_rows.wgsl" with { type: "text" };

const THREADS = 64;

/** Which rows go where. */
export interface CopyRowsOptions {
  /** The first row of the source; 0 unless said. */
  readonly from?: number;
  /** The first row that is written; 0 unless said. */
  readonly to?: number;
  /** How many; all of the shorter tensor unless said. */
  readonly count?: number;
}

/** Writes rows of `source` [rows, columns] over rows of `rows` [rows, columns], of any type of a word. */
export const copyRows: Kernel<"source" | "rows", never, CopyRowsOptions, "rows"> = {
  wgsl,
  inputs: ["source", "rows"],
  outputs: [],
  mutates: ["rows"],
  plan({ source, rows }, options, { gridAxis }) {
    const [given = 0, columns = 0] = source.shape;
    const [held = 0, width] = rows.shape;
    const { from, to, count } = placesOf([given, held], options);
    const fits = from >= 0 && to >= 0 && from + count <= given && to + count <= held;
    const words = source.dtype === rows.dtype && source.dtype !== "f16";
    if (width !== columns || !fits || count > gridAxis || !words) {
      throw new RangeError(
        `Cannot copy ${count} rows from ${from} on of ${describe(source)} to ${to} on of ${
          describe(rows)
        }: expected words of one type, rows of ${columns} that lie in both, ${gridAxis} at most`,
      );
    }
    return {
      outputs: {},
      constants: { THREADS },
      params: counts({ columns, source_row: from, row: to }),
      grid: [Math.ceil(columns / THREADS), count, 1],
    };
  },
  cpu(_inputs, _options, { params, grid }) {
    const args = { ...params, ...counts({ count: grid[1] }) };
    return { program: "copyRows", tasks: 1, args };
  },
  reference({ source, rows }, options) {
    const columns = source.shape[1]!;
    const { from, to, count } = placesOf([source.shape[0]!, rows.shape[0]!], options);
    const data = rows.data.slice();
    data.set(source.data.subarray(from * columns, (from + count) * columns), to * columns);
    return { rows: { ...rows, data } };
  },
  cases: [
    {
      inputs: { source: u32([1, 3], [7, 8, 9]), rows: u32([2, 3]) },
      options: { to: 1 },
      tolerance: 0,
    },
    {
      inputs: {
        source: u32([1, 129], Array.from({ length: 129 }, (_, i) => i)),
        rows: u32([3, 129]),
      },
      options: {},
      tolerance: 0,
    },
    // A piece out of many, and its end back into them.
    {
      inputs: { source: { dtype: "f32", shape: [9, 200] }, rows: f32([4, 200]) },
      options: { from: 5 },
      tolerance: 0,
    },
    {
      inputs: { source: { dtype: "f32", shape: [4, 64] }, rows: f32([9, 64]) },
      options: { from: 1, to: 6, count: 2 },
      tolerance: 0,
    },
  ],
};

function placesOf(
  [given, held]: readonly [number, number],
  { from = 0, to = 0, count = Math.min(given - from, held - to) }: CopyRowsOptions,
): Required<CopyRowsOptions> {
  return { from, to, count };
}
