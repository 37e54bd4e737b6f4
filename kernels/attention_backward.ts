import type { TensorSpec } from "./device/device.ts";
import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32, type HostTensor } from "./device/tensor.ts";
import wgsl from "./attention_backward.wgsl" with { type: "text" };

const THREADS = 64;
/** Queries, or keys, of a task of the CPU engine. */
export const TASK_TOKENS = 8;

/** How scores are scaled. */
export interface AttentionBackwardOptions {
  /** Factor of the scores; 1 / sqrt(head size) unless said. */
  readonly scale?: number;
}

/**
 * What a loss loses by the queries of causal attention over a whole sequence: of `q`, `y` (what
 * `attention` made) and `dy` f32 [tokens, heads, head size] and `k` and `v` f32 [tokens, kv heads, head
 * size], the gradient `dq` like `q`, and `rows` f32 [tokens, heads, 2], which `attentionBackwardKeys`
 * takes: the logarithm of the sum of exponentials of a query's scores, and the product of y and dy.
 *
 * With p the softmax of scores, the gradient of a score is p (dy v - dy y) (Dao et al. 2022,
 * FlashAttention, appendix B.4); scores are made again, so that memory does not grow with their number.
 */
export const attentionBackward: Kernel<
  "q" | "k" | "v" | "y" | "dy",
  "dq" | "rows",
  AttentionBackwardOptions
> = {
  wgsl,
  inputs: ["q", "k", "v", "y", "dy"],
  outputs: ["dq", "rows"],
  plan(inputs, options) {
    const { tokens, heads, kvHeads, size } = backwardSizes(inputs);
    if (describe(inputs.y) !== describe(inputs.q)) {
      throw new RangeError(
        `Cannot take gradients of q ${describe(inputs.q)}: y is ${
          describe(inputs.y)
        }, expected the same shape`,
      );
    }
    return {
      outputs: {
        dq: { dtype: "f32", shape: inputs.q.shape },
        rows: { dtype: "f32", shape: [tokens, heads, 2] },
      },
      constants: { SIZE: size, THREADS },
      params: {
        ...counts({ tokens, heads, kv_heads: kvHeads }),
        scale: { f32: options.scale ?? 1 / Math.sqrt(size) },
      },
      grid: [tokens, heads, 1],
      turns: 4 * Math.ceil(tokens / THREADS) * THREADS,
    };
  },
  cpu(inputs, _options, { params }) {
    const { tokens, heads, size } = backwardSizes(inputs);
    return {
      program: "attentionBackward",
      tasks: Math.ceil(tokens / TASK_TOKENS) * heads,
      args: { ...params, ...counts({ size, task_tokens: TASK_TOKENS }) },
    };
  },
  reference(inputs, options) {
    const { q, k, v, y, dy } = inputs;
    const { tokens, heads, kvHeads, size } = backwardSizes(inputs);
    const scale = options.scale ?? 1 / Math.sqrt(size);
    const dq = new Float32Array(q.data.length);
    const rows = new Float32Array(2 * tokens * heads);
    for (let row = 0; row < tokens * heads; row++) {
      const [token, head] = [Math.floor(row / heads), row % heads];
      const of = (key: number) => key * kvHeads + Math.floor(head * kvHeads / heads);
      const scores = Array.from({ length: token + 1 }, (_, key) => {
        return scale * rowProduct(q, row, k, of(key), size);
      });
      const largest = scores.reduce((a, b) => Math.max(a, b));
      const sum = scores.reduce((sum, score) => sum + Math.exp(score - largest), 0);
      const log = largest + Math.log(sum);
      const along = rowProduct(y, row, dy, row, size);
      rows.set([log, along], 2 * row);
      const made = new Float64Array(size);
      scores.forEach((score, key) => {
        const weight = Math.exp(score - log);
        const slope = scale * weight * (rowProduct(dy, row, v, of(key), size) - along);
        for (let d = 0; d < size; d++) made[d]! += slope * k.data[of(key) * size + d]!;
      });
      dq.set(made, row * size);
    }
    return { dq: f32(q.shape, dq), rows: f32([tokens, heads, 2], rows) };
  },
  cases: [
    { inputs: spec({ tokens: 1, heads: 1, kvHeads: 1, size: 16 }), options: {} },
    { inputs: spec({ tokens: 19, heads: 4, kvHeads: 2, size: 32 }), options: {} },
    { inputs: spec({ tokens: 70, heads: 3, kvHeads: 1, size: 64 }), options: { scale: 0.2 } },
    { inputs: spec({ tokens: 67, heads: 2, kvHeads: 2, size: 80 }), options: {} },
    { inputs: spec({ tokens: 9, heads: 2, kvHeads: 1, size: 256 }), options: {} },
    {
      inputs: spec({ tokens: 512, heads: 9, kvHeads: 3, size: 64 }),
      options: {},
      cost: { bytes: 4 * 512 * 64 * (4 * 9 + 6), flops: 3 * 64 * 9 * 512 * 513 },
      timedOnly: true,
    },
  ],
};

/** The sizes of an attention whose gradients are taken; throws where they do not fit. */
export function backwardSizes(
  { q, k, v, dy }: Readonly<Record<"q" | "k" | "v" | "dy", TensorSpec>>,
) {
  const [tokens = 0, heads = 0, size = 0] = q.shape;
  const [keys, kvHeads = 0] = k.shape;
  const fits = q.shape.length === 3 && size > 0 && size % 4 === 0 && keys === tokens &&
    k.shape[2] === size && kvHeads > 0 && heads % kvHeads === 0;
  if (!fits || describe(k) !== describe(v) || describe(dy) !== describe(q)) {
    throw new RangeError(
      `Cannot take gradients of attention of q ${describe(q)} to k ${describe(k)} and v ${
        describe(v)
      } by ${
        describe(dy)
      }: expected q and dy [tokens, heads, a multiple of 4], k and v [tokens, a divisor of the heads, the same]`,
    );
  }
  return { tokens, heads, kvHeads, size };
}

/** The product of two rows of so many values. */
export function rowProduct(
  a: HostTensor,
  i: number,
  b: HostTensor,
  j: number,
  size: number,
): number {
  let sum = 0;
  for (let d = 0; d < size; d++) sum += a.data[i * size + d]! * b.data[j * size + d]!;
  return sum;
}

function spec({ tokens, heads, kvHeads, size }: {
  readonly tokens: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly size: number;
}) {
  const q = { dtype: "f32", shape: [tokens, heads, size] } as const;
  const k = { dtype: "f32", shape: [tokens, kvHeads, size] } as const;
  return { q, k, v: k, y: q, dy: q } as const;
}
