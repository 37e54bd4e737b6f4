import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32 } from "./device/tensor.ts";
import {
  type AttentionBackwardOptions,
  backwardSizes,
  rowProduct,
  TASK_TOKENS,
} from "./attention_backward.ts";
import wgsl from "./attention_backward_keys.wgsl" with { type: "text" };

const THREADS = 64;

/**
 * What a loss loses by the keys and values of causal attention over a whole sequence, of the heads
 * that share them together: of `q` and `dy` f32 [tokens, heads, head size], `k` and `v` f32 [tokens, kv
 * heads, head size] and `rows` of `attentionBackward`, the gradients `dk` and `dv`.
 */
export const attentionBackwardKeys: Kernel<
  "q" | "k" | "v" | "dy" | "rows",
  "dk" | "dv",
  AttentionBackwardOptions
> = {
  wgsl,
  inputs: ["q", "k", "v", "dy", "rows"],
  outputs: ["dk", "dv"],
  plan(inputs, options) {
    const { tokens, heads, kvHeads, size } = backwardSizes(inputs);
    if (inputs.rows.shape.join() !== [tokens, heads, 2].join()) {
      throw new RangeError(
        `Cannot take gradients of k ${describe(inputs.k)}: rows are ${
          describe(inputs.rows)
        }, expected f32[${tokens}, ${heads}, 2]`,
      );
    }
    return {
      outputs: {
        dk: { dtype: "f32", shape: inputs.k.shape },
        dv: { dtype: "f32", shape: inputs.k.shape },
      },
      constants: { SIZE: size, THREADS },
      params: {
        ...counts({ tokens, heads, kv_heads: kvHeads }),
        scale: { f32: options.scale ?? 1 / Math.sqrt(size) },
      },
      grid: [tokens, kvHeads, 1],
      turns: 2 * Math.ceil(tokens / THREADS) * THREADS * heads / kvHeads,
    };
  },
  cpu(inputs, _options, { params }) {
    const { tokens, kvHeads, size } = backwardSizes(inputs);
    return {
      program: "attentionBackwardKeys",
      tasks: Math.ceil(tokens / TASK_TOKENS) * kvHeads,
      args: { ...params, ...counts({ size, task_tokens: TASK_TOKENS }) },
    };
  },
  reference(inputs, options) {
    const { q, k, v, dy, rows } = inputs;
    const { tokens, heads, kvHeads, size } = backwardSizes(inputs);
    const scale = options.scale ?? 1 / Math.sqrt(size);
    const dk = new Float64Array(k.data.length);
    const dv = new Float64Array(k.data.length);
    for (let row = 0; row < tokens * heads; row++) {
      const [token, head] = [Math.floor(row / heads), row % heads];
      for (let key = 0; key <= token; key++) {
        const other = key * kvHeads + Math.floor(head * kvHeads / heads);
        const score = scale * rowProduct(q, row, k, other, size);
        const weight = Math.exp(score - rows.data[2 * row]!);
        const product = rowProduct(dy, row, v, other, size);
        const slope = scale * weight * (product - rows.data[2 * row + 1]!);
        for (let d = 0; d < size; d++) {
          dk[other * size + d]! += slope * q.data[row * size + d]!;
          dv[other * size + d]! += weight * dy.data[row * size + d]!;
        }
      }
    }
    return { dk: f32(k.shape, Float32Array.from(dk)), dv: f32(k.shape, Float32Array.from(dv)) };
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
      cost: { bytes: 4 * 512 * 64 * (2 * 9 + 4 * 3), flops: 4 * 64 * 9 * 512 * 513 },
      timedOnly: true,
    },
  ],
};

function spec({ tokens, heads, kvHeads, size }: {
  readonly tokens: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly size: number;
}) {
  const q = { dtype: "f32", shape: [tokens, heads, size] } as const;
  const k = { dtype: "f32", shape: [tokens, kvHeads, size] } as const;
  // Scores of random heads stay below this, so that no weight is above 1.
  const rows = f32([tokens, heads, 2], Array(2 * tokens * heads).fill(8));
  return { q, k, v: k, dy: q, rows } as const;
}
