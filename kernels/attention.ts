import type { HostTensor, Limits, TensorSpec } from "./device/device.ts";
import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32 } from "./device/tensor.ts";
import softCap from "./parts/soft_cap.wgsl" with { type: "text" };
import { softCapped } from "./soft_cap.ts";
import wgsl from "./attention.wgsl" with { type: "text" };

/** How far a query looks and how its scores are scaled. */
export interface AttentionOptions {
  /** Keys a query sees, itself the last of them; all before it unless said (Mistral's window). */
  readonly window?: number;
  /** Factor of the scores; 1 / sqrt(head size) unless said. */
  readonly scale?: number;
  /** Keeps scores, times the factor, between -cap and cap (`softCap`); nothing does unless said. */
  readonly cap?: number;
}

/** The window where none is said. */
export const NO_WINDOW = 2 ** 31;

/** How many queries a workgroup makes, and how many keys it stages at once. */
export interface AttentionTile {
  readonly QUERIES: number;
  readonly KEYS: number;
}

/** The largest tile that fits workgroup memory, its scores taking at least `least` columns. */
export function attentionTile(
  size: number,
  { groupBytes }: Limits,
  { queries = [16, 4], least = 0 }: {
    readonly queries?: readonly number[];
    readonly least?: number;
  } = {},
): AttentionTile | undefined {
  const tiles = queries.flatMap((QUERIES) => [32, 16, 8].map((KEYS) => ({ QUERIES, KEYS })));
  return tiles.find((tile) => tileBytes(size, tile, least) <= groupBytes);
}

function tileBytes(size: number, { QUERIES, KEYS }: AttentionTile, least: number): number {
  return 4 * ((QUERIES + KEYS) * (size + 4) + QUERIES * (Math.max(KEYS, least) + 1));
}

/** Loop turns for a key, at most: about half to make its weight, half to add its value. */
export const TURNS_A_KEY = 2;

/** Rows, each a query for a head, that a task of the CPU engine makes, about. */
const TASK_ROWS = 144;
const MOST_TASK_HEADS = 8;
/** Largest head whose blocks and rows fit the memory of a thread. */
const MOST_TASK_SIZE = 2048;

/**
 * Heads of one kv head that a task of the CPU engine makes, how many tasks share the queries of all
 * heads, and how many queries, in steps of so many, make a task large enough.
 */
export function taskSizes(
  { heads, kvHeads, size }: {
    readonly heads: number;
    readonly kvHeads: number;
    readonly size: number;
  },
  step: number,
): { readonly taskHeads: number; readonly across: number; readonly steps: number } {
  if (size > MOST_TASK_SIZE) {
    throw new RangeError(
      `Cannot attend with head size ${size}: expected at most ${MOST_TASK_SIZE} on the CPU engine`,
    );
  }
  const group = heads / kvHeads;
  const parts = Math.ceil(group / MOST_TASK_HEADS);
  const taskHeads = Math.ceil(group / parts);
  const steps = Math.max(1, Math.floor(TASK_ROWS / (taskHeads * step)));
  return { taskHeads, across: kvHeads * Math.ceil(group / taskHeads), steps };
}

/**
 * Causal attention: `q` f32 [queries, heads, head size], `k` and `v` f32 [keys, kv heads, head
 * size], `y` like `q`. The last query stands at the last key; heads share kv heads in order (GQA).
 *
 * Softmax is online (Milakov and Gimelshein 2018), so memory does not grow with the keys.
 */
export const attention: Kernel<"q" | "k" | "v", "y", AttentionOptions> = {
  wgsl: `${softCap}\n${wgsl}`,
  inputs: ["q", "k", "v"],
  outputs: ["y"],
  plan(inputs, { window = NO_WINDOW, scale, cap }, limits) {
    const { queries, keys, heads, kvHeads, size } = dimensions(inputs);
    const tile = attentionTile(size, limits);
    if (!tile) {
      throw new RangeError(
        `Cannot attend with head size ${size}: a tile takes ${
          tileBytes(size, { QUERIES: 4, KEYS: 8 }, 0)
        } bytes of workgroup memory, expected at most ${limits.groupBytes}`,
      );
    }
    const params = {
      ...counts({ queries, keys, heads, kv_heads: kvHeads, window }),
      scale: { f32: scale ?? 1 / Math.sqrt(size) },
      cap: { f32: cap ?? 0 },
    };
    return {
      outputs: { y: { dtype: "f32", shape: inputs.q.shape } },
      constants: { SIZE: size, CAPPED: cap !== undefined, ...tile },
      params,
      grid: [Math.ceil(queries / tile.QUERIES), heads, 1],
      turns: TURNS_A_KEY * Math.min(keys, window + tile.QUERIES + tile.KEYS),
    };
  },
  cpu(inputs, _options, { params }) {
    const sizes = dimensions(inputs);
    const { taskHeads, across, steps } = taskSizes(sizes, 1);
    return {
      program: "attention",
      tasks: Math.ceil(sizes.queries / steps) * across,
      args: {
        ...params,
        ...counts({ size: sizes.size, task_queries: steps, task_heads: taskHeads }),
      },
    };
  },
  reference({ q, k, v }, { window = NO_WINDOW, scale, cap }) {
    const { queries, keys, heads, kvHeads, size } = dimensions({ q, k, v });
    const y = new Float32Array(queries * heads * size);
    const factor = scale ?? 1 / Math.sqrt(size);
    const of = ({ data }: HostTensor) => new Float64Array(data);
    const [asked, known, held] = [of(q), of(k), of(v)];
    const mixed = new Float64Array(size);
    for (let query = 0; query < queries; query++) {
      const place = keys - queries + query;
      const first = Math.max(0, place - window + 1);
      for (let head = 0; head < heads; head++) {
        const at = (query * heads + head) * size;
        const row = (key: number) => (key * kvHeads + Math.floor(head * kvHeads / heads)) * size;
        const scores = new Float64Array(place - first + 1);
        for (let i = 0; i < scores.length; i++) {
          const start = row(first + i);
          let sum = 0;
          for (let d = 0; d < size; d++) sum += asked[at + d]! * known[start + d]!;
          scores[i] = cap === undefined ? sum * factor : softCapped(sum * factor, cap);
        }
        const largest = scores.reduce((a, b) => Math.max(a, b));
        let total = 0;
        mixed.fill(0);
        for (let i = 0; i < scores.length; i++) {
          const weight = Math.exp(scores[i]! - largest);
          const start = row(first + i);
          for (let d = 0; d < size; d++) mixed[d]! += weight * held[start + d]!;
          total += weight;
        }
        for (let d = 0; d < size; d++) y[at + d] = mixed[d]! / total;
      }
    }
    return { y: f32(q.shape, y) };
  },
  cases: [
    { inputs: spec({ queries: 1, heads: 1, kvHeads: 1, size: 16 }), options: {} },
    { inputs: spec({ queries: 19, heads: 4, kvHeads: 2, size: 32 }), options: {} },
    { inputs: spec({ queries: 70, heads: 3, kvHeads: 1, size: 64 }), options: {} },
    { inputs: spec({ queries: 133, heads: 2, kvHeads: 2, size: 128 }), options: {} },
    { inputs: spec({ queries: 130, heads: 2, kvHeads: 1, size: 80 }), options: { window: 37 } },
    { inputs: spec({ queries: 2, heads: 1, kvHeads: 1, size: 4 }), options: {} },
    { inputs: spec({ queries: 77, heads: 4, kvHeads: 2, size: 100 }), options: {} },
    { inputs: spec({ queries: 19, keys: 90, heads: 6, kvHeads: 1, size: 20 }), options: {} },
    { inputs: spec({ queries: 18, keys: 70, heads: 1, kvHeads: 1, size: 256 }), options: {} },
    {
      inputs: spec({ queries: 5, keys: 150, heads: 2, kvHeads: 1, size: 64 }),
      options: { scale: 0.5 },
    },
    {
      inputs: spec({ queries: 37, keys: 90, heads: 4, kvHeads: 1, size: 32 }),
      options: { scale: 0.7, cap: 2.5, window: 20 },
    },
    { inputs: spec({ queries: 3, keys: 8200, heads: 1, kvHeads: 1, size: 64 }), options: {} },
    {
      inputs: spec({ queries: 512, heads: 9, kvHeads: 3, size: 64 }),
      options: {},
      // Half of all pairs are seen.
      cost: { bytes: 4 * 512 * 64 * (9 + 9 + 3 + 3), flops: 4 * 64 * 9 * 512 * 513 / 2 },
      timedOnly: true,
    },
  ],
};

function dimensions({ q, k, v }: Readonly<Record<"q" | "k" | "v", TensorSpec>>) {
  const [queries = 0, heads = 0, size = 0] = q.shape;
  const [keys = 0, kvHeads = 0] = k.shape;
  if (q.shape.length !== 3 || size % 4 !== 0 || size === 0) {
    throw new RangeError(
      `Cannot attend with q ${
        describe(q)
      }: expected [queries, heads, a head size that is a multiple of 4]`,
    );
  }
  if (
    k.shape[2] !== size || describe(k) !== describe(v) || heads % kvHeads !== 0 || keys < queries
  ) {
    throw new RangeError(
      `Cannot attend q ${describe(q)} to k ${describe(k)} and v ${
        describe(v)
      }: expected k and v of one shape [at least ${queries}, a divisor of ${heads}, ${size}]`,
    );
  }
  return { queries, keys, heads, kvHeads, size };
}

function spec(
  shape: { queries: number; keys?: number; heads: number; kvHeads: number; size: number },
) {
  const { queries, keys = queries, heads, kvHeads, size } = shape;
  const kv = { dtype: "f32", shape: [keys, kvHeads, size] } as const;
  return { q: { dtype: "f32", shape: [queries, heads, size] }, k: kv, v: kv } as const;
}
