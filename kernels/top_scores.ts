import type { Kernel } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import reduce from "./parts/row_reduce.wgsl" with { type: "text" };
import { rowShaders, rowShare } from "./parts/row_shares.ts";
import wgsl from "./top_scores.wgsl" with { type: "text" };

/** How many of the likeliest tokens are looked for. */
export interface TopScoresOptions {
  readonly count: number;
}

/** Most of the likeliest tokens that a row can be asked for. */
const MOST_TOP_SCORES = 20;

type Out = "scores" | "likeliest" | "norms";

/**
 * Logits f32 [rows, columns] of `tokens` u32 [rows], then of the `count` likeliest, the first one
 * first: `scores` f32 and `likeliest` u32 [rows, 1 + count], and `norms` f32 [rows, 2] the largest
 * logit and the sum of exponentials under it.
 *
 * A log-probability is score - norm[0] - log(norm[1]), which is left to the host: its logarithm is
 * exact, as in `nll`.
 */
export const topScores: Kernel<"logits" | "tokens", Out, TopScoresOptions> = {
  wgsl: rowShaders(`${reduce}\n${wgsl}`),
  inputs: ["logits", "tokens"],
  outputs: ["scores", "likeliest", "norms"],
  plan({ logits, tokens }, { count }, limits) {
    const [rows, columns] = logits.shape;
    if (rows === undefined || columns === undefined || tokens.shape[0] !== rows) {
      throw new RangeError(
        `Cannot score ${describe(tokens)} by ${
          describe(logits)
        }: expected u32[rows] and f32[rows, columns]`,
      );
    }
    if (!(count >= 0 && count <= Math.min(MOST_TOP_SCORES, columns))) {
      throw new RangeError(
        `Cannot look for ${count} likeliest tokens of ${columns}: expected at most ${
          Math.min(MOST_TOP_SCORES, columns)
        }`,
      );
    }
    const THREADS = columns > 2 ** 16 ? Math.min(1024, limits.groupThreads) : 256;
    const { share, ...shader } = rowShare(limits);
    return {
      ...shader,
      outputs: {
        scores: { dtype: "f32", shape: [rows, 1 + count] },
        likeliest: { dtype: "u32", shape: [rows, 1 + count] },
        norms: { dtype: "f32", shape: [rows, 2] },
      },
      constants: { THREADS, ...share },
      params: { columns: { u32: columns }, count: { u32: count } },
      grid: [rows, 1, 1],
    };
  },
  cpu({ logits }, _options, { params }) {
    return { program: "topScores", tasks: logits.shape[0]!, args: params };
  },
  reference({ logits, tokens }, { count }) {
    const [rows = 0, columns = 0] = logits.shape;
    const scores = new Float32Array(rows * (1 + count));
    const likeliest = new Uint32Array(rows * (1 + count));
    const norms = new Float32Array(2 * rows);
    for (let row = 0; row < rows; row++) {
      const values = logits.data.subarray(row * columns, (row + 1) * columns) as Float32Array;
      const order = [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
      const most = values[order[0]!]!;
      const sum = values.reduce((sum, value) => sum + Math.exp(value - most), 0);
      norms.set([most, sum], 2 * row);
      const listed = [tokens.data[row]!, ...order.slice(0, count)];
      listed.forEach((token, i) => {
        scores[row * (1 + count) + i] = values[token]!;
        likeliest[row * (1 + count) + i] = token;
      });
    }
    return {
      scores: f32([rows, 1 + count], scores),
      likeliest: u32([rows, 1 + count], likeliest),
      norms: f32([rows, 2], norms),
    };
  },
  cases: [
    scored([2, 0], 3, 2),
    {
      inputs: { logits: f32([1, 4], [1, 3, 3, -5]), tokens: u32([1], [3]) },
      options: { count: 4 },
    },
    scored([299, 0, 17], 300, 20),
    scored([7, 1_023], 1_024, 2),
    scored([5, 69_999], 70_000, 1),
    scored([9], 300, 0),
    {
      ...scored([1, 2, 3, 4, 5, 6, 7, 8], 49_152, 5),
      cost: { bytes: 4 * 8 * 49_152, flops: 3 * 8 * 49_152 },
    },
    scored([3, 31_999], 32_000, 2),
  ],
};

function scored(tokens: readonly number[], columns: number, count: number) {
  return {
    inputs: {
      logits: { dtype: "f32", shape: [tokens.length, columns] },
      tokens: u32([tokens.length], tokens),
    },
    options: { count },
  } as const;
}
