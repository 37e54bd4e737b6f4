import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32, type HostTensor, u32 } from "./device/tensor.ts";
import { rowTasks } from "./parts/row_tasks.ts";
import mixed from "./rope_hadamard.wgsl" with { type: "text" };
import bindings from "./parts/rope_bindings.wgsl" with { type: "text" };
import pair from "./parts/rope_pair.wgsl" with { type: "text" };
import plain from "./rope.wgsl" with { type: "text" };

const THREADS = 64;

/** How rows of heads are taken apart and turned. */
export interface RopeOptions {
  readonly kvHeads: number;
  /** Whether neighbours turn together instead of halves. */
  readonly neighbours?: boolean;
  /** Sends queries and keys through the Hadamard transform of a head behind it; off unless said. */
  readonly hadamard?: boolean;
  /** Leaves keys as they are, to be turned when they are read (`attentionPaged`); turned unless said. */
  readonly stillKeys?: boolean;
}

/**
 * Rotary position embedding of what one product makes: `x` f32 [tokens, query, key and value heads,
 * head size] into `q` f32 [tokens, query heads, head size], `k` and `v` f32 [tokens, kv heads, head
 * size]. The first channels of queries and keys turn in the half-split pairing of transformers:
 * channel d with channel d + half of those that turn, or as in the paper with its neighbour; the others
 * stay, and values.
 *
 * `angles` f32 [positions, channels that turn] holds cosines, then sines (made on the host, where the
 * sine of a large angle is exact); `positions` u32 [tokens] picks its rows. Su et al. 2021, section
 * 3.4.
 *
 * `center` f32 [kv heads, head size] is then taken from keys: what all keys of a head share adds the
 * same to all scores of a query, which softmax does not see where scores are not capped (Zhang et al. 2024, SageAttention).
 *
 * With `hadamard`, each head of queries and keys is then multiplied by the Sylvester matrix of its
 * size, a power of two from 4, over the size's square root: products of queries and keys stay as they
 * are, and no channel of keys stands out (Ashkboos et al. 2024, QuaRot, section 4, stage 2b).
 */
export const rope: Kernel<
  "x" | "positions" | "angles" | "center",
  "q" | "k" | "v",
  RopeOptions,
  never,
  "center"
> = {
  wgsl: { plain: `${bindings}\n${pair}\n${plain}`, mixed: `${bindings}\n${pair}\n${mixed}` },
  inputs: ["x", "positions", "angles", "center"],
  outputs: ["q", "k", "v"],
  optional: ["center"],
  plan({ x, positions, angles, center }, options) {
    const { kvHeads, neighbours = false, hadamard = false, stillKeys = false } = options;
    const [tokens, all, size] = x.shape;
    const heads = (all ?? 0) - 2 * kvHeads;
    if (tokens === undefined || size === undefined || size % 2 !== 0 || heads <= 0) {
      throw new RangeError(
        `Cannot rotate x: it is ${
          describe(x)
        }, expected [tokens, heads, an even head size] with more than ${2 * kvHeads} heads`,
      );
    }
    const turned = angles.shape[1] ?? 0;
    if (positions.shape[0] !== tokens || turned === 0 || turned > size || turned % 2 !== 0) {
      throw new RangeError(
        `Cannot rotate x ${describe(x)}: positions are ${describe(positions)} and angles ${
          describe(angles)
        }, expected u32[${tokens}] and f32[positions, an even number up to ${size}]`,
      );
    }
    if (hadamard && !canMix(size)) {
      throw new RangeError(
        `Cannot send heads of x ${
          describe(x)
        } through a Hadamard transform: a head has ${size} channels, expected a power of two from 4`,
      );
    }
    if (stillKeys && (hadamard || center)) {
      throw new RangeError(
        "Cannot leave keys as they are and rotate or center them: both are for keys that have been turned, expected one of them",
      );
    }
    const of = (count: number) => ({ dtype: "f32", shape: [tokens, count, size] }) as const;
    const outputs = { q: of(heads), k: of(kvHeads), v: of(kvHeads) };
    const kinds = {
      NEIGHBOURS: neighbours,
      CENTERED: center !== undefined,
      STILL_KEYS: stillKeys,
    };
    if (center && center.shape.join() !== [kvHeads, size].join()) {
      throw new RangeError(
        `Cannot center keys of x ${describe(x)}: the center is ${
          describe(center)
        }, expected f32[${kvHeads}, ${size}]`,
      );
    }
    const params = {
      ...counts({ heads, kv_heads: kvHeads, half: size / 2, pairs: turned / 2 }),
      scale: { f32: hadamard ? 1 / Math.sqrt(size) : 0 },
    };
    return hadamard
      ? {
        shader: "mixed",
        outputs,
        constants: { ...kinds, SIZE: size, THREADS },
        params,
        grid: [heads + 2 * kvHeads, tokens, 1],
      }
      : {
        shader: "plain",
        outputs,
        constants: { ...kinds, THREADS },
        params,
        grid: [Math.ceil((heads + 2 * kvHeads) * size / 2 / THREADS), tokens, 1],
      };
  },
  cpu({ x: { shape: [count = 0, all = 0, size = 0] } }, options, { params }) {
    const { neighbours = false, stillKeys = false } = options;
    const { tasks, args } = rowTasks(count, all * size);
    const own = counts({
      neighbours: Number(neighbours),
      still_keys: Number(stillKeys),
      count,
    });
    return { program: "rope", tasks, args: { ...params, ...own, ...args } };
  },
  reference({ x, positions, angles, center }, options) {
    const { kvHeads, neighbours = false, hadamard = false, stillKeys = false } = options;
    const rotated = turnedHead(neighbours);
    const [tokens = 0, all = 0, size = 0] = x.shape;
    const part = (first: number, count: number, turned: boolean, shared?: HostTensor) => {
      const data = new Float32Array(tokens * count * size);
      for (let t = 0; t < tokens; t++) {
        for (let head = 0; head < count; head++) {
          const from = (t * all + first + head) * size;
          const values = x.data.subarray(from, from + size);
          const width = angles.shape[1]!;
          const table = positions.data[t]! * width;
          const turn = angles.data.subarray(table, table + width);
          const made = turned ? rotated(values, turn) : Float32Array.from(values);
          const less = shared?.data.subarray(head * size, (head + 1) * size);
          less?.forEach((value, d) => made[d]! -= value);
          data.set(turned && hadamard ? mixedHead(made) : made, (t * count + head) * size);
        }
      }
      return f32([tokens, count, size], data);
    };
    const heads = all - 2 * kvHeads;
    return {
      q: part(0, heads, true),
      k: part(heads, kvHeads, !stillKeys, center),
      v: part(heads + kvHeads, kvHeads, false),
    };
  },
  cases: [
    {
      inputs: {
        x: f32([1, 3, 4], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        positions: u32([1], [1]),
        angles: f32([2, 4], [1, 1, 0, 0, 0.6, 0, 0.8, 1]),
      },
      options: { kvHeads: 1 },
    },
    {
      inputs: {
        x: { dtype: "f32", shape: [5, 7, 64] },
        positions: u32([5], [0, 1, 2, 9, 4]),
        angles: { dtype: "f32", shape: [10, 64] },
      },
      options: { kvHeads: 2 },
    },
    {
      inputs: {
        x: { dtype: "f32", shape: [3, 12, 80] },
        positions: u32([3], [2, 0, 1]),
        angles: { dtype: "f32", shape: [3, 80] },
      },
      options: { kvHeads: 1 },
    },
    {
      inputs: {
        x: { dtype: "f32", shape: [4, 5, 100] },
        positions: u32([4], [3, 0, 1, 2]),
        angles: { dtype: "f32", shape: [4, 100] },
      },
      options: { kvHeads: 1 },
    },
    {
      inputs: {
        x: { dtype: "f32", shape: [3, 5, 32] },
        positions: u32([3], [1, 0, 2]),
        angles: { dtype: "f32", shape: [3, 24] },
      },
      options: { kvHeads: 1 },
    },
    {
      inputs: {
        x: { dtype: "f32", shape: [2, 4, 20] },
        positions: u32([2], [1, 0]),
        angles: { dtype: "f32", shape: [2, 2] },
      },
      options: { kvHeads: 1 },
    },
    {
      inputs: {
        x: f32([1, 3, 4], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        positions: u32([1], [1]),
        angles: f32([2, 4], [1, 1, 0, 0, 0.6, 0, 0.8, 1]),
      },
      options: { kvHeads: 1, neighbours: true },
    },
    {
      inputs: {
        x: { dtype: "f32", shape: [3, 12, 80] },
        positions: u32([3], [2, 0, 1]),
        angles: { dtype: "f32", shape: [3, 80] },
      },
      options: { kvHeads: 1, neighbours: true },
    },
    {
      inputs: {
        x: { dtype: "f32", shape: [3, 5, 32] },
        positions: u32([3], [1, 0, 2]),
        angles: { dtype: "f32", shape: [3, 12] },
      },
      options: { kvHeads: 1, neighbours: true },
    },
    ...[false, true].map((neighbours) =>
      ({
        inputs: {
          x: { dtype: "f32", shape: [3, 7, 32] },
          positions: u32([3], [1, 0, 2]),
          angles: { dtype: "f32", shape: [3, 24] },
        },
        options: { kvHeads: 2, stillKeys: true, neighbours },
      }) as const
    ),
    mixedCase({ tokens: 1, heads: 1, kvHeads: 1, size: 4, turned: 4 }),
    mixedCase({ tokens: 5, heads: 3, kvHeads: 2, size: 64, turned: 64 }),
    mixedCase({ tokens: 3, heads: 2, kvHeads: 1, size: 128, turned: 96 }),
    mixedCase({ tokens: 2, heads: 4, kvHeads: 1, size: 256, turned: 2 }),
    mixedCase({ tokens: 3, heads: 2, kvHeads: 1, size: 128, turned: 96, neighbours: true }),
    centered(mixedCase({ tokens: 5, heads: 3, kvHeads: 2, size: 64, turned: 64 })),
    {
      ...centered(mixedCase({ tokens: 5, heads: 1, kvHeads: 3, size: 64, turned: 36 })),
      options: { kvHeads: 3 },
    },
    {
      ...mixedCase({ tokens: 512, heads: 9, kvHeads: 3, size: 64, turned: 64 }),
      cost: { bytes: 8 * 512 * 15 * 64, flops: 512 * 15 * 64 * 9 },
      timedOnly: true,
    },
  ],
};

/** Whether heads of this size can go through the Hadamard transform. */
export function canMix(size: number): boolean {
  return size >= 4 && Number.isInteger(Math.log2(size));
}

function mixedCase({ tokens, heads, kvHeads, size, turned, neighbours = false }: {
  readonly tokens: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly size: number;
  readonly turned: number;
  readonly neighbours?: boolean;
}) {
  return {
    inputs: {
      x: { dtype: "f32", shape: [tokens, heads + 2 * kvHeads, size] },
      positions: u32(
        [tokens],
        Array.from({ length: tokens }, (_, i) => (3 * i + 1) % (tokens + 1)),
      ),
      angles: { dtype: "f32", shape: [tokens + 1, turned] },
    },
    options: { kvHeads, neighbours, hadamard: true },
  } as const;
}

function centered(one: ReturnType<typeof mixedCase>) {
  const [, , size] = one.inputs.x.shape;
  const center = { dtype: "f32", shape: [one.options.kvHeads, size] } as const;
  return { ...one, inputs: { ...one.inputs, center } };
}

/** The values times the Sylvester matrix of their number over its square root, entry by entry. */
function mixedHead(values: ArrayLike<number>): Float32Array {
  const size = values.length;
  return Float32Array.from({ length: size }, (_, j) => {
    let sum = 0;
    for (let i = 0; i < size; i++) sum += values[i]! * signOf(i & j);
    return sum / Math.sqrt(size);
  });
}

/** -1 for an odd number of ones among the bits, else 1. */
function signOf(bits: number): number {
  let odd = 0;
  for (let left = bits; left > 0; left >>>= 1) odd ^= left & 1;
  return odd ? -1 : 1;
}

/** What a head's channels become by the cosines and sines of a position, in either pairing. */
export function turnedHead(
  neighbours: boolean,
): (values: ArrayLike<number>, turn: ArrayLike<number>) => Float32Array {
  return neighbours ? neighboursRotated : halvesRotated;
}

function neighboursRotated(values: ArrayLike<number>, turn: ArrayLike<number>): Float32Array {
  const pairs = turn.length / 2;
  return Float32Array.from(values, (value, d) => {
    if (d >= turn.length) return value;
    const pair = Math.floor(d / 2);
    const [cosine, sine] = [turn[pair]!, turn[pair + pairs]!];
    return d % 2 === 0
      ? value * cosine - values[d + 1]! * sine
      : value * cosine + values[d - 1]! * sine;
  });
}

function halvesRotated(values: ArrayLike<number>, turn: ArrayLike<number>): Float32Array {
  const half = turn.length / 2;
  return Float32Array.from(values, (value, d) => {
    if (d >= turn.length) return value;
    const [cosine, sine] = [turn[d % half]!, turn[d % half + half]!];
    const other = values[(d + half) % turn.length]!;
    return d < half ? value * cosine - other * sine : value * cosine + other * sine;
  });
}
