import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import { checkBounds } from "./parts/expert_rows.ts";
import wgsl from "./channel_stats.wgsl" with { type: "text" };

const THREADS = 8;
/** Channels of a task of the CPU engine: a few cache lines of every row. */
const TASK_CHANNELS = 64;

/**
 * Magnitudes of the channels of `x` f32 [tokens, channels], joined into `stats` f32 [3, channels]:
 * the largest, the sum, and the sum of squares. What SmoothQuant, AWQ and reordering look at. With an
 * expert only rows `bounds[expert]` to `bounds[expert + 1]` of `x` are looked at.
 */
export const channelStats: Kernel<
  "x" | "stats" | "bounds",
  never,
  { readonly expert?: number },
  "stats",
  "bounds"
> = {
  wgsl,
  inputs: ["x", "stats", "bounds"],
  outputs: [],
  mutates: ["stats"],
  optional: ["bounds"],
  plan({ x, stats, bounds }, { expert }) {
    checkBounds(bounds, expert === undefined ? undefined : { first: expert, count: 1 });
    const [rows, columns] = x.shape;
    if (rows === undefined || columns === undefined || columns % 4 !== 0) {
      throw new RangeError(
        `Cannot watch x: it is ${describe(x)}, expected [tokens, a multiple of 4]`,
      );
    }
    if (stats.shape[0] !== 3 || stats.shape[1] !== columns) {
      throw new RangeError(
        `Cannot watch x ${describe(x)}: stats are ${describe(stats)}, expected f32[3, ${columns}]`,
      );
    }
    return {
      turns: rows + 1,
      outputs: {},
      constants: { EXPERTS: expert !== undefined, THREADS },
      params: counts({ rows, quads: columns / 4, expert: expert ?? 0 }),
      grid: [Math.ceil(columns / 4 / THREADS), 1, 1],
    };
  },
  cpu({ x: { shape: [, columns = 0] } }, _options, { params }) {
    const tasks = Math.ceil(columns / TASK_CHANNELS);
    const each = counts({ task_quads: TASK_CHANNELS / 4 });
    return { program: "channelStats", tasks, args: { ...params, ...each } };
  },
  reference({ x, stats, bounds }, { expert }) {
    const [rows = 0, columns = 0] = x.shape;
    const [begin = 0, end = rows] = expert === undefined
      ? []
      : bounds!.data.subarray(expert, expert + 2);
    const data = Float32Array.from(stats.data);
    for (let row = begin; row < end; row++) {
      for (let c = 0; c < columns; c++) {
        const size = Math.abs(x.data[row * columns + c]!);
        data[c] = Math.max(data[c]!, size);
        data[columns + c]! += size;
        data[2 * columns + c]! += size * size;
      }
    }
    return { stats: { ...stats, data } };
  },
  cases: [
    {
      inputs: {
        x: f32([2, 4], [1, -2, 0, 0.5, -3, 1, 0, 0.25]),
        stats: f32([3, 4], [2, 2, 2, 2, 1, 1, 1, 1, 5, 5, 5, 5]),
      },
      options: {},
    },
    { inputs: { x: { dtype: "f32", shape: [37, 260] }, stats: f32([3, 260]) }, options: {} },
    ...[0, 1, 2].map((expert) => ({
      inputs: {
        x: { dtype: "f32", shape: [20, 100] } as const,
        stats: f32([3, 100]),
        bounds: u32([4], [0, 5, 5, 20]),
      },
      options: { expert },
    })),
    {
      inputs: { x: { dtype: "f32", shape: [512, 1536] }, stats: f32([3, 1536]) },
      options: {},
      cost: { bytes: 4 * 512 * 1536, flops: 4 * 512 * 1536 },
    },
  ],
};
