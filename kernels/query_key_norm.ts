import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32 } from "./device/tensor.ts";
import { rowTasks } from "./parts/row_tasks.ts";
import wgsl from "./query_key_norm.wgsl" with { type: "text" };

/**
 * Root-mean-square normalization of query and key heads, in place: `x` f32 [tokens, query, key and
 * value heads, head size] as `rope` takes it; values stay. `gains` f32 [2, head size] has the gain of
 * all query heads, then that of all key heads. Dehghani et al. 2023, section 2, with the norm of Qwen 3.
 */
export const queryKeyNorm: Kernel<
  "x" | "gains",
  never,
  { readonly kvHeads: number; readonly eps: number },
  "x"
> = {
  wgsl,
  inputs: ["x", "gains"],
  outputs: [],
  mutates: ["x"],
  plan({ x, gains }, { kvHeads, eps }) {
    const [tokens, all, size] = x.shape;
    const heads = (all ?? 0) - 2 * kvHeads;
    if (tokens === undefined || size === undefined || size % 4 !== 0 || heads <= 0) {
      throw new RangeError(
        `Cannot normalize the heads of x: it is ${
          describe(x)
        }, expected [tokens, heads, a multiple of 4] with more than ${2 * kvHeads} heads`,
      );
    }
    if (gains.shape.length !== 2 || gains.shape[0] !== 2 || gains.shape[1] !== size) {
      throw new RangeError(
        `Cannot normalize the heads of x ${describe(x)}: gains are ${
          describe(gains)
        }, expected f32[2, ${size}]`,
      );
    }
    return {
      outputs: {},
      constants: {},
      params: {
        ...counts({ heads, kv_heads: kvHeads, quads: size / 4 }),
        eps: { f32: eps },
      },
      grid: [heads + kvHeads, tokens, 1],
    };
  },
  cpu({ x: { shape: [count = 0, all = 0, size = 0] } }, _options, { params }) {
    const { tasks, args } = rowTasks(count, all * size);
    return { program: "queryKeyNorm", tasks, args: { ...params, ...counts({ count }), ...args } };
  },
  reference({ x, gains }, { kvHeads, eps }) {
    const [tokens = 0, all = 0, size = 0] = x.shape;
    const heads = all - 2 * kvHeads;
    const data = Float32Array.from(x.data);
    for (let t = 0; t < tokens; t++) {
      for (let head = 0; head < heads + kvHeads; head++) {
        const row = data.subarray((t * all + head) * size, (t * all + head + 1) * size);
        const gain = head < heads ? 0 : size;
        const squares = row.reduce((total, value) => total + value * value, 0);
        const scale = 1 / Math.sqrt(squares / size + eps);
        row.forEach((value, c) => row[c] = value * scale * gains.data[gain + c]!);
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
    {
      inputs: spec(512, 32, 128),
      options: { kvHeads: 8, eps: 1e-6 },
      cost: { bytes: 2 * 4 * 512 * 24 * 128, flops: 5 * 512 * 24 * 128 },
    },
  ],
};

function spec(tokens: number, heads: number, size: number) {
  return {
    x: { dtype: "f32", shape: [tokens, heads, size] },
    gains: { dtype: "f32", shape: [2, size] },
  } as const;
}
