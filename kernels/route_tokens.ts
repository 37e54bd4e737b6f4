import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import { rowTasks } from "./parts/row_tasks.ts";
import reduce from "./parts/row_reduce.wgsl" with { type: "text" };
import { rowShaders, rowShare } from "./parts/row_shares.ts";
import wgsl from "./route_tokens.wgsl" with { type: "text" };

/** How a router chooses. */
export interface RouteTokensOptions {
  /** Experts there are; columns of the scores behind them are something else. */
  readonly experts: number;
  /** Experts a token goes to. */
  readonly chosen: number;
  /** Whether the weights of a token's experts add up to 1. */
  readonly normalized: boolean;
}

/**
 * The experts of every token by its router's scores f32 [tokens, at least experts]: `weights` f32
 * [tokens, chosen] has the largest values of their softmax, in order, and `experts` u32 [tokens,
 * chosen] whose they are, of equals the first one first; f32 throughout (Mixtral, Jiang et al. 2024,
 * section 2.1). No expert stands twice in a row.
 */
export const routeTokens: Kernel<"scores", "weights" | "experts", RouteTokensOptions> = {
  wgsl: rowShaders(`${reduce}\n${wgsl}`),
  inputs: ["scores"],
  outputs: ["weights", "experts"],
  plan({ scores }, { experts, chosen, normalized }, limits) {
    const [tokens, columns] = scores.shape;
    if (tokens === undefined || columns === undefined || !(experts >= 1 && experts <= columns)) {
      throw new RangeError(
        `Cannot route by scores ${describe(scores)}: expected [tokens, at least ${experts}]`,
      );
    }
    if (!(chosen >= 1 && chosen <= experts)) {
      throw new RangeError(
        `Cannot choose ${chosen} of ${experts} experts: expected 1 to ${experts}`,
      );
    }
    if (tokens > limits.gridAxis) {
      throw new RangeError(
        `Cannot route ${tokens} tokens at once: expected at most ${limits.gridAxis}`,
      );
    }
    const { share, ...shader } = rowShare(limits);
    return {
      ...shader,
      outputs: {
        weights: { dtype: "f32", shape: [tokens, chosen] },
        experts: { dtype: "u32", shape: [tokens, chosen] },
      },
      constants: { THREADS: 64, NORMALIZED: normalized, ...share },
      params: counts({ columns, count: experts, chosen }),
      grid: [tokens, 1, 1],
    };
  },
  cpu({ scores: { shape: [tokens = 0] } }, { experts, chosen, normalized }, { params }) {
    const { tasks, args } = rowTasks(tokens, experts * (chosen + 4));
    const more = counts({ tokens, normalized: Number(normalized) });
    return { program: "routeTokens", tasks, args: { ...params, ...more, ...args } };
  },
  reference({ scores }, { experts, chosen, normalized }) {
    const [tokens = 0, columns = 0] = scores.shape;
    const weights = new Float32Array(tokens * chosen);
    const names = new Uint32Array(tokens * chosen);
    for (let token = 0; token < tokens; token++) {
      const values = Float32Array.from(
        scores.data.subarray(token * columns, token * columns + experts),
      );
      const most = Math.max(...values);
      const parts = Float64Array.from(values, (value) => Math.exp(value - most));
      const order = [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
      const first = order.slice(0, chosen);
      const all = (normalized ? first : order).reduce((sum, expert) => sum + parts[expert]!, 0);
      first.forEach((expert, i) => {
        weights[token * chosen + i] = parts[expert]! / all;
        names[token * chosen + i] = expert;
      });
    }
    return { weights: f32([tokens, chosen], weights), experts: u32([tokens, chosen], names) };
  },
  cases: [
    routed([1, 4], { experts: 4, chosen: 1, normalized: true }),
    routed([3, 9], { experts: 8, chosen: 2, normalized: true }),
    routed([5, 61], { experts: 60, chosen: 4, normalized: false }),
    routed([40, 128], { experts: 128, chosen: 8, normalized: true }),
    routed([2, 300], { experts: 300, chosen: 300, normalized: false }),
    {
      inputs: { scores: f32([2, 5], [1, 3, 3, -5, 90, 2, 2, 2, 2, 90]) },
      options: { experts: 4, chosen: 3, normalized: false },
    },
    {
      ...routed([512, 128], { experts: 128, chosen: 8, normalized: true }),
      cost: { bytes: 4 * 512 * 144, flops: 512 * 128 * 10 },
    },
  ],
};

function routed(shape: readonly [number, number], options: RouteTokensOptions) {
  return { inputs: { scores: { dtype: "f32", shape } }, options } as const;
}
