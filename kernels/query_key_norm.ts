import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32 } from "./device/tensor.ts";
import { rowTasks } from "./parts/row_tasks.ts";
import wgsl from "./query_key_norm.wgsl" with { type: "text" };

/** How queries and keys are normalized. */
export interface QueryKeyNormOptions {
  readonly kvHeads: number;
  readonly eps: number;
  /** Whether the mean of what is normalized is taken away first. */
  readonly centered?: boolean;
  /** Whether all query heads are normalized as one row, and all key heads; else each by itself. */
  readonly rows?: boolean;
}

/**
 * Root-mean-square normalization of queries and keys, in place: `x` f32 [tokens, query, key and value
 * heads, head size] as `rope` takes it; values stay. `gains` is f32 [2, head size], the gain of all query
 * heads and then that of all key heads, or f32 [query and key heads, head size], one of each.
 * Dehghani et al. 2023, section 2, with the norms of Qwen 3, OLMo 2 (rows) and, centered, Cohere.
 */
export const queryKeyNorm: Kernel<"x" | "gains", never, QueryKeyNormOptions, "x"> = {
  wgsl,
  inputs: ["x", "gains"],
  outputs: [],
  mutates: ["x"],
  plan({ x, gains }, { kvHeads, eps, centered = false, rows = false }) {
    const [tokens, all, size] = x.shape;
    const heads = (all ?? 0) - 2 * kvHeads;
    if (tokens === undefined || size === undefined || size % 4 !== 0 || heads <= 0) {
      throw new RangeError(
        `Cannot normalize the heads of x: it is ${
          describe(x)
        }, expected [tokens, heads, a multiple of 4] with more than ${2 * kvHeads} heads`,
      );
    }
    const [count] = gains.shape;
    const own = count === heads + kvHeads;
    if (gains.shape.length !== 2 || !own && (count !== 2 || rows) || gains.shape[1] !== size) {
      throw new RangeError(
        `Cannot normalize the heads of x ${describe(x)}: gains are ${describe(gains)}, expected ${
          rows ? "" : `f32[2, ${size}] or `
        }f32[${heads + kvHeads}, ${size}]`,
      );
    }
    const quads = size / 4;
    return {
      outputs: {},
      constants: { CENTERED: centered },
      params: {
        // Runs of channels that are normalized: of queries, then of keys.
        ...counts(
          rows
            ? { queries: 1, keys: 1, query_quads: heads * quads, key_quads: kvHeads * quads }
            : { queries: heads, keys: kvHeads, query_quads: quads, key_quads: quads },
        ),
        ...counts({
          quads: all! * quads,
          query_gain: own && !rows ? quads : 0,
          key_gain: own && !rows ? quads : 0,
          keys_from: own ? heads * quads : quads,
        }),
        eps: { f32: eps },
      },
      grid: [rows ? 2 : heads + kvHeads, tokens, 1],
    };
  },
  cpu({ x: { shape: [count = 0, all = 0, size = 0] } }, { centered = false }, { params }) {
    const { tasks, args } = rowTasks(count, all * size);
    const own = counts({ centered: Number(centered), count });
    return { program: "queryKeyNorm", tasks, args: { ...params, ...own, ...args } };
  },
  reference({ x, gains }, { kvHeads, eps, centered = false, rows = false }) {
    const [tokens = 0, all = 0, size = 0] = x.shape;
    const heads = all - 2 * kvHeads;
    const shared = gains.shape[0] !== heads + kvHeads;
    const data = Float32Array.from(x.data);
    const normalize = (at: number, count: number, gain: number) => {
      const row = data.subarray(at, at + count);
      const mean = centered ? row.reduce((total, value) => total + value, 0) / count : 0;
      const squares = row.reduce((total, value) => total + (value - mean) ** 2, 0);
      const scale = 1 / Math.sqrt(squares / count + eps);
      row.forEach((value, c) => row[c] = (value - mean) * scale * gains.data[gain + c]!);
    };
    for (let t = 0; t < tokens; t++) {
      const first = t * all * size;
      if (rows) {
        normalize(first, heads * size, 0);
        normalize(first + heads * size, kvHeads * size, heads * size);
        continue;
      }
      for (let head = 0; head < heads + kvHeads; head++) {
        const gain = shared ? Number(head >= heads) : head;
        normalize(first + head * size, size, gain * size);
      }
    }
    return { x: f32(x.shape, data) };
  },
  cases: [
    {
      inputs: {
        x: f32([1, 3, 4], [1, -2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        gains: f32([2, 4], [1, 1, 2, 1, 1, 3, 1, 1]),
      },
      options: { kvHeads: 1, eps: 1e-6 },
    },
    { inputs: spec(5, 7, 64), options: { kvHeads: 2, eps: 1e-6 } },
    { inputs: spec(3, 12, 80), options: { kvHeads: 1, eps: 1e-5 } },
    { inputs: spec(3, 12, 80, 11), options: { kvHeads: 1, eps: 1e-5, centered: true } },
    { inputs: spec(2, 8, 64, 6), options: { kvHeads: 2, eps: 1e-5 } },
    { inputs: spec(3, 8, 64), options: { kvHeads: 2, eps: 1e-5, centered: true } },
    { inputs: spec(3, 8, 36, 6), options: { kvHeads: 2, eps: 1e-6, rows: true } },
    { inputs: spec(2, 40, 128, 36), options: { kvHeads: 4, eps: 1e-6, rows: true } },
    {
      inputs: spec(512, 32, 128),
      options: { kvHeads: 8, eps: 1e-6 },
      cost: { bytes: 2 * 4 * 512 * 24 * 128, flops: 5 * 512 * 24 * 128 },
    },
  ],
};

function spec(tokens: number, heads: number, size: number, gains = 2) {
  return {
    x: { dtype: "f32", shape: [tokens, heads, size] },
    gains: { dtype: "f32", shape: [gains, size] },
  } as const;
}
