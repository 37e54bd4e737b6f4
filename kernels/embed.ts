import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f16, f32, u32 } from "./device/tensor.ts";
import { rowTasks } from "./parts/row_tasks.ts";
import wgsl from "./embed.wgsl" with { type: "text" };

/** Which rows of a table a tensor holds, and what they are multiplied by. */
export interface EmbedOptions {
  /** The token of the first row; 0 unless said. */
  readonly first?: number;
  /** Factor, rounded to f32; 1 unless said. */
  readonly scale?: number;
}

/**
 * Rows of an embedding table by token: `tokens` u32 [tokens], `embeddings` f16 or f32 [rows,
 * columns] holding the tokens from `first` on, into `y` f32 [tokens, columns].
 *
 * Values are multiplied by `scale`. Tokens outside the given rows keep what `y` holds, so that a table in several tensors takes one
 * launch for each.
 */
export const embed: Kernel<"tokens" | "embeddings" | "y", never, EmbedOptions, "y"> = {
  wgsl,
  inputs: ["tokens", "embeddings", "y"],
  outputs: [],
  mutates: ["y"],
  plan({ tokens, embeddings, y }, { first = 0, scale = 1 }, limits) {
    const [rows, columns] = embeddings.shape;
    const [count] = tokens.shape;
    if (rows === undefined || columns === undefined || columns % 4 !== 0) {
      throw new RangeError(
        `Cannot embed from ${describe(embeddings)}: expected [rows, a multiple of 4]`,
      );
    }
    if (count === undefined || y.shape[0] !== count || y.shape[1] !== columns) {
      throw new RangeError(
        `Cannot embed ${describe(tokens)} into ${describe(y)}: expected f32[${count}, ${columns}]`,
      );
    }
    const THREADS = 64;
    return {
      outputs: {},
      constants: { HALF: embeddings.dtype === "f16", SCALED: scale !== 1, THREADS },
      params: { ...counts({ columns, first, rows, count }), scale: { f32: scale } },
      grid: [
        Math.ceil(columns / 4 / THREADS),
        Math.min(count, limits.gridAxis),
        Math.ceil(count / limits.gridAxis),
      ],
    };
  },
  cpu({ tokens: { shape: [count = 0] }, embeddings }, _options, { params }) {
    const half = Number(embeddings.dtype === "f16");
    const { tasks, args } = rowTasks(count, embeddings.shape[1]!);
    return { program: "embed", tasks, args: { ...params, ...counts({ half }), ...args } };
  },
  reference({ tokens, embeddings, y }, { first = 0, scale = 1 }) {
    const factor = Math.fround(scale);
    const [rows = 0, columns = 0] = embeddings.shape;
    const data = Float32Array.from(y.data);
    tokens.data.forEach((token, t) => {
      const row = token - first;
      if (row < 0 || row >= rows) return;
      for (let c = 0; c < columns; c++) {
        data[t * columns + c] = embeddings.data[row * columns + c]! * factor;
      }
    });
    return { y: { ...y, data } };
  },
  get cases(): typeof embed.cases {
    return [
      {
        inputs: { tokens: u32([1], [2]), embeddings: f32([3, 8]), y: f32([1, 8]) },
        options: {},
        tolerance: 0,
      },
      {
        inputs: {
          tokens: u32([5], [0, 6, 3, 6, 1]),
          embeddings: { dtype: "f16", shape: [7, 72] },
          y: f32([5, 72]),
        },
        options: {},
        tolerance: 0,
      },
      {
        inputs: {
          tokens: u32([6], [9, 10, 11, 12, 13, 0]),
          embeddings: f16([3, 8], Array.from({ length: 24 }, (_, i) => i / 8)),
          y: { dtype: "f32", shape: [6, 8] },
        },
        options: { first: 10 },
        tolerance: 0,
      },
      {
        // More tokens than an axis of a grid has.
        inputs: {
          tokens: u32([70_000], Array.from({ length: 70_000 }, (_, i) => i % 3)),
          embeddings: { dtype: "f32", shape: [3, 8] },
          y: { dtype: "f32", shape: [70_000, 8] },
        },
        options: {},
        tolerance: 0,
      },
      ...(["f16", "f32"] as const).map((dtype) => ({
        inputs: {
          tokens: u32([4], [2, 0, 2, 1]),
          embeddings: { dtype, shape: [3, 12] },
          y: f32([4, 12]),
        },
        options: { scale: Math.sqrt(640) },
        tolerance: 0,
      })),
      ...(["f16", "f32"] as const).map((dtype) => ({
        inputs: {
          tokens: u32([4], [2, 0, 2, 1]),
          embeddings: { dtype, shape: [3, 100] },
          y: f32([4, 100]),
        },
        options: {},
        tolerance: 0,
      })),
    ];
  },
};
