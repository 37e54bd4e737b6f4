import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import { rowTasks } from "./parts/row_tasks.ts";
import wgsl from "./mix_experts.wgsl" with { type: "text" };

const THREADS = 64;

type Input = "x" | "places" | "weights" | "beside" | "scores";

/**
 * What the experts of a token made, added up by their weights: `x` f32 [tokens * chosen, columns] has
 * the row of choice i of token t at `places[t, i]`, `weights` f32 [tokens, chosen] what it counts. With
 * `beside` f32 [tokens, columns] that is added, times the sigmoid of column `gate` of `scores` f32
 * [tokens, scores] where these are given (Qwen 1.5 MoE).
 */
export const mixExperts: Kernel<
  Input,
  "y",
  { readonly gate?: number },
  never,
  "beside" | "scores"
> = {
  wgsl,
  inputs: ["x", "places", "weights", "beside", "scores"],
  outputs: ["y"],
  optional: ["beside", "scores"],
  plan({ x, places, weights, beside, scores }, { gate = 0 }, limits) {
    const [rows, columns] = x.shape;
    const [tokens, chosen] = places.shape;
    if (
      columns === undefined || columns % 4 !== 0 || tokens === undefined || chosen === undefined ||
      rows !== tokens * chosen || String(weights.shape) !== String(places.shape)
    ) {
      throw new RangeError(
        `Cannot mix ${describe(x)} by ${describe(weights)} at ${
          describe(places)
        }: expected [tokens * chosen, a multiple of 4] and twice [tokens, chosen]`,
      );
    }
    const width = scores?.shape[1] ?? 0;
    const fits = !beside || beside.shape[0] === tokens && beside.shape[1] === columns;
    if (!fits || scores && (!beside || scores.shape[0] !== tokens || gate >= width)) {
      throw new RangeError(
        `Cannot add ${beside ? describe(beside) : "nothing"} by column ${gate} of ${
          scores ? describe(scores) : "no scores"
        }: expected f32[${tokens}, ${columns}] and a row of scores for each token`,
      );
    }
    const quads = columns / 4;
    return {
      outputs: { y: { dtype: "f32", shape: [tokens, columns] } },
      constants: { SHARED: beside !== undefined, GATED: scores !== undefined, THREADS },
      params: counts({ quads, chosen, width, gate }),
      grid: [Math.ceil(quads / THREADS), within(tokens, limits.gridAxis), 1],
    };
  },
  cpu({ x: { shape: [, columns = 0] }, places }, _options, { params }) {
    const [tokens = 0, chosen = 0] = places.shape;
    const { tasks, args } = rowTasks(tokens, columns * (chosen + 1));
    return { program: "mixExperts", tasks, args: { ...params, ...counts({ tokens }), ...args } };
  },
  reference({ x, places, weights, beside, scores }, { gate = 0 }) {
    const [tokens = 0, chosen = 0] = places.shape;
    const columns = x.shape[1]!;
    const y = new Float32Array(tokens * columns);
    for (let at = 0; at < y.length; at++) {
      const [token, column] = [Math.floor(at / columns), at % columns];
      let sum = 0;
      for (let i = token * chosen; i < (token + 1) * chosen; i++) {
        sum += weights.data[i]! * x.data[places.data[i]! * columns + column]!;
      }
      const score = scores?.data[token * scores.shape[1]! + gate];
      const factor = score === undefined ? 1 : 1 / (1 + Math.exp(-score));
      y[at] = sum + (beside ? factor * beside.data[at]! : 0);
    }
    return { y: f32([tokens, columns], y) };
  },
  cases: [
    mixed({ tokens: 1, chosen: 1, columns: 4 }),
    mixed({ tokens: 5, chosen: 3, columns: 132 }),
    { ...mixed({ tokens: 5, chosen: 2, columns: 8, beside: true }), options: {} },
    mixed({ tokens: 3, chosen: 4, columns: 264, beside: true, scores: 9 }, 8),
    {
      ...mixed({ tokens: 512, chosen: 8, columns: 2048 }),
      cost: { bytes: 4 * 512 * 9 * 2048, flops: 2 * 512 * 8 * 2048 },
    },
  ],
};

function within(tokens: number, most: number): number {
  if (tokens <= most) return tokens;
  throw new RangeError(`Cannot mix the experts of ${tokens} tokens: expected at most ${most}`);
}

function mixed(
  { tokens, chosen, columns, beside = false, scores }: {
    readonly tokens: number;
    readonly chosen: number;
    readonly columns: number;
    readonly beside?: boolean;
    readonly scores?: number;
  },
  gate?: number,
) {
  const rows = tokens * chosen;
  const places = Array.from({ length: rows }, (_, i) => (7 * i + 3) % rows);
  // Each row once, as 7 divides none of these counts.
  return {
    inputs: {
      x: { dtype: "f32", shape: [rows, columns] },
      places: u32([tokens, chosen], places),
      weights: { dtype: "f32", shape: [tokens, chosen] },
      ...beside ? { beside: { dtype: "f32", shape: [tokens, columns] } } as const : {},
      ...scores ? { scores: { dtype: "f32", shape: [tokens, scores] } } as const : {},
    },
    options: gate === undefined ? {} : { gate },
  } as const;
}
