import { counts, type Kernel } from "./device/kernel.ts";
import { describe, u32 } from "./device/tensor.ts";
import { checkBounds } from "./parts/expert_rows.ts";
import wgsl from "./gram.wgsl" with { type: "text" };

/** Which rows of the matrix `sum` holds, and what the products are multiplied by. */
export interface GramOptions {
  /** Row of the whole matrix that is the first of `sum`; 0 unless said. */
  readonly first?: number;
  /** Factor of what is added; 1 unless said, -1 subtracts. */
  readonly factor?: number;
  /** Whose rows of `x` are taken, as `bounds` tells; all unless said. */
  readonly expert?: number;
}

const TILE = 64;
/** `BLOCK` of `kernels/assembly/gram.ts`. */
const CPU_BLOCK = 96;

/**
 * Rows `first` and on of a Gram matrix: to `sum` f32 [held rows, columns] is added `x` f32 [rows,
 * columns] transposed times `x`, in f32.
 *
 * Only entries on and above the diagonal are touched: the matrix is symmetric, and its readers
 * mirror it. A matrix larger than a binding lies in several tensors of rows. With factor -1 this is
 * the update that a blocked Cholesky factorization makes behind each of its panels. With an expert only
 * rows `bounds[expert]` to `bounds[expert + 1]` of `x` are taken.
 */
export const gram: Kernel<"x" | "sum" | "bounds", never, GramOptions, "sum", "bounds"> = {
  wgsl,
  inputs: ["x", "sum", "bounds"],
  outputs: [],
  mutates: ["sum"],
  optional: ["bounds"],
  plan({ x, sum, bounds }, { first = 0, factor = 1, expert }) {
    checkBounds(bounds, expert === undefined ? undefined : { first: expert, count: 1 });
    const [rows, columns] = x.shape;
    const [held] = sum.shape;
    if (rows === undefined || columns === undefined || x.shape.length !== 2 || columns % 4 !== 0) {
      throw new RangeError(
        `Cannot take the Gram matrix of ${describe(x)}: expected [rows, a multiple of 4]`,
      );
    }
    if (
      held === undefined || sum.shape[1] !== columns || first % 4 !== 0 || first < 0 ||
      first + held > columns
    ) {
      throw new RangeError(
        `Cannot add rows ${first} and on of a Gram matrix to ${describe(sum)}: expected [at most ${
          columns - first
        }, ${columns}] from a row that is a multiple of 4`,
      );
    }
    return {
      outputs: {},
      constants: { EXPERTS: expert !== undefined },
      params: {
        ...counts({ rows, columns, first, held }),
        factor: { f32: factor },
        ...counts({ expert: expert ?? 0 }),
      },
      grid: [Math.ceil(columns / TILE), Math.ceil(held / TILE), 1],
      // One for 16 rows, and one a row and behind the last.
      turns: 18 * Math.ceil(rows / 16),
    };
  },
  cpu({ x: { shape: [, columns = 0] }, sum: { shape: [held = 0] } }, _options, { params }) {
    const tasks = Math.ceil(held / CPU_BLOCK) * Math.ceil(columns / CPU_BLOCK);
    return { program: "gram", tasks, args: params };
  },
  reference({ x, sum, bounds }, { first = 0, factor = 1, expert }) {
    const [rows = 0, columns = 0] = x.shape;
    const [begin = 0, end = rows] = expert === undefined
      ? []
      : bounds!.data.subarray(expert, expert + 2);
    const [held = 0] = sum.shape;
    const data = Float32Array.from(sum.data);
    for (let i = 0; i < held; i++) {
      const products = new Float64Array(columns);
      for (let r = begin; r < end; r++) {
        const at = r * columns;
        const left = x.data[at + first + i]!;
        for (let j = first + i; j < columns; j++) products[j]! += left * x.data[at + j]!;
      }
      for (let j = first + i; j < columns; j++) data[i * columns + j]! += factor * products[j]!;
    }
    return { sum: { ...sum, data } };
  },
  cases: [
    { inputs: spec(1, 4, 4), options: {} },
    { inputs: spec(6, 8, 8), options: {} },
    { inputs: spec(33, 100, 100), options: { factor: -1 } },
    { inputs: spec(19, 148, 72), options: { first: 68, factor: 0.25 } },
    { inputs: spec(130, 132, 10), options: { first: 120 } },
    ...[0, 1, 2].map((expert) => ({
      inputs: { ...spec(60, 100, 100), bounds: u32([4], [0, 5, 5, 60]) },
      options: { expert },
    })),
    {
      inputs: spec(512, 1536, 1536),
      options: {},
      // Half of the matrix is made.
      cost: { bytes: 4 * 1536 * (512 + 1536), flops: 512 * 1536 * 1537 },
    },
  ],
};

function spec(rows: number, columns: number, held: number) {
  return {
    x: { dtype: "f32", shape: [rows, columns] },
    sum: { dtype: "f32", shape: [held, columns] },
  } as const;
}
