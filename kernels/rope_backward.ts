import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32, type HostTensor, u32 } from "./device/tensor.ts";
import { rowTasks } from "./parts/row_tasks.ts";
import wgsl from "./rope_backward.wgsl" with { type: "text" };

const THREADS = 64;

/**
 * What a loss loses by what `rope` takes apart and turns: gradients `dq` f32 [tokens, query heads, head
 * size], `dk` and `dv` f32 [tokens, kv heads, head size] into `dx` f32 [tokens, query, key and value
 * heads, head size], queries and keys turned back by the same `positions` and `angles`. Halves turn
 * together, as with transformers.
 */
export const ropeBackward: Kernel<
  "dq" | "dk" | "dv" | "positions" | "angles",
  "dx",
  Record<never, never>
> = {
  wgsl,
  inputs: ["dq", "dk", "dv", "positions", "angles"],
  outputs: ["dx"],
  plan({ dq, dk, dv, positions, angles }) {
    const [tokens, heads, size] = dq.shape;
    const [others, kvHeads = 0] = dk.shape;
    if (
      tokens === undefined || heads === undefined || size === undefined || size % 2 !== 0 ||
      others !== tokens || dk.shape[2] !== size || describe(dk) !== describe(dv)
    ) {
      throw new RangeError(
        `Cannot turn gradients back: dq is ${describe(dq)}, dk ${describe(dk)} and dv ${
          describe(dv)
        }, expected [tokens, heads, an even head size] and twice [tokens, kv heads, head size]`,
      );
    }
    const turned = angles.shape[1] ?? 0;
    if (positions.shape[0] !== tokens || turned === 0 || turned > size || turned % 2 !== 0) {
      throw new RangeError(
        `Cannot turn gradients of ${describe(dq)} back: positions are ${
          describe(positions)
        } and angles ${
          describe(angles)
        }, expected u32[${tokens}] and f32[positions, an even number up to ${size}]`,
      );
    }
    return {
      outputs: { dx: { dtype: "f32", shape: [tokens, heads + 2 * kvHeads, size] } },
      constants: { THREADS },
      params: counts({ heads, kv_heads: kvHeads, size, turned }),
      grid: [Math.ceil((heads + 2 * kvHeads) * size / THREADS), tokens, 1],
    };
  },
  cpu({ dq: { shape: [count = 0, heads = 0, size = 0] } }, _options, { params }) {
    const { tasks, args } = rowTasks(count, 2 * heads * size);
    return { program: "ropeBackward", tasks, args: { ...params, ...counts({ count }), ...args } };
  },
  reference({ dq, dk, dv, positions, angles }) {
    const [tokens = 0, heads = 0, size = 0] = dq.shape;
    const [, kvHeads = 0] = dk.shape;
    const [, turned = 0] = angles.shape;
    const all = heads + 2 * kvHeads;
    const dx = new Float32Array(tokens * all * size);
    const put = (from: HostTensor, first: number, turns: boolean) => {
      const [, count = 0] = from.shape;
      from.data.forEach((value, i) => {
        const [head, d] = [Math.floor(i / size), i % size];
        const token = Math.floor(head / count);
        const half = turned / 2;
        const table = positions.data[token]! * turned + d % half;
        const [cosine, sine] = [angles.data[table]!, angles.data[table + half]!];
        const other = from.data[i - d + (d + half) % turned]!;
        dx[(token * all + first + head % count) * size + d] = !turns || d >= turned
          ? value
          : value * cosine + (d < half ? other : -other) * sine;
      });
    };
    put(dq, 0, true);
    put(dk, heads, true);
    put(dv, heads + kvHeads, false);
    return { dx: f32([tokens, all, size], dx) };
  },
  cases: [
    spec({ tokens: 1, heads: 1, kvHeads: 1, size: 4, turned: 4 }),
    spec({ tokens: 5, heads: 3, kvHeads: 2, size: 64, turned: 64 }),
    spec({ tokens: 4, heads: 3, kvHeads: 1, size: 100, turned: 36 }),
    spec({ tokens: 2, heads: 2, kvHeads: 2, size: 20, turned: 2 }),
    {
      ...spec({ tokens: 512, heads: 9, kvHeads: 3, size: 64, turned: 64 }),
      cost: { bytes: 8 * 512 * 15 * 64, flops: 3 * 512 * 12 * 64 },
    },
  ],
};

function spec({ tokens, heads, kvHeads, size, turned }: {
  readonly tokens: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly size: number;
  readonly turned: number;
}) {
  const kv = { dtype: "f32", shape: [tokens, kvHeads, size] } as const;
  const positions = Array.from({ length: tokens }, (_, i) => (3 * i + 1) % (tokens + 1));
  return {
    inputs: {
      dq: { dtype: "f32", shape: [tokens, heads, size] },
      dk: kv,
      dv: kv,
      positions: u32([tokens], positions),
      angles: { dtype: "f32", shape: [tokens + 1, turned] },
    },
    options: {},
  } as const;
}
