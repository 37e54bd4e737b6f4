import { counts, type Kernel } from "./device/kernel.ts";
import { describe, u32 } from "./device/tensor.ts";
import wgsl from "./copy_row.wgsl" with { type: "text" };

const THREADS = 64;

/** Writes `source` u32 [columns] over row `row` of `rows` u32 [rows, columns]. */
export const copyRow: Kernel<"source" | "rows", never, { readonly row: number }, "rows"> = {
  wgsl,
  inputs: ["source", "rows"],
  outputs: [],
  mutates: ["rows"],
  plan({ source, rows }, { row }) {
    const [columns = 0] = source.shape;
    const [held = 0, width] = rows.shape;
    if (width !== columns || !(row >= 0 && row < held)) {
      throw new RangeError(
        `Cannot copy ${describe(source)} to row ${row} of ${
          describe(rows)
        }: expected u32[more than ${row}, ${columns}]`,
      );
    }
    return {
      outputs: {},
      constants: { THREADS },
      params: counts({ columns, row }),
      grid: [Math.ceil(columns / THREADS), 1, 1],
    };
  },
  cpu(_inputs, _options, { params }) {
    return { program: "copyRow", tasks: 1, args: params };
  },
  reference({ source, rows }, { row }) {
    const data = Uint32Array.from(rows.data);
    data.set(source.data, row * source.data.length);
    return { rows: { ...rows, data } };
  },
  cases: [
    {
      inputs: { source: u32([3], [7, 8, 9]), rows: u32([2, 3]) },
      options: { row: 1 },
      tolerance: 0,
    },
    {
      inputs: { source: u32([129], Array.from({ length: 129 }, (_, i) => i)), rows: u32([3, 129]) },
      options: { row: 0 },
      tolerance: 0,
    },
  ],
};
