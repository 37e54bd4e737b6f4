import type { TensorSpec } from "./device/device.ts";
import { SCRATCH_BYTES } from "./device/cpu/protocol.ts";
import { counts, type Kernel } from "./device/kernel.ts";
import { describe, u32 } from "./device/tensor.ts";
import {
  appended,
  type AppendKvOptions,
  appendParts,
  poolPages,
  withSinks,
  written,
} from "./append_kv.ts";
import { PAGE_TOKENS, pageArgs, pageWords } from "./codes/kv_page.ts";
import { fixedScale, type KvScheme, schemeConstants } from "./codes/kv_scheme.ts";
import pair from "./parts/rope_pair.wgsl" with { type: "text" };
import { rowTasks } from "./parts/row_tasks.ts";
import { rope, type RopeOptions } from "./rope.ts";
import wgsl from "./rope_append.wgsl" with { type: "text" };

const THREADS = 64;

/** How heads are turned, and how keys and values are held. */
export interface RopeAppendOptions extends RopeOptions, AppendKvOptions {}

type In =
  | "x"
  | "positions"
  | "angles"
  | "center"
  | "slots"
  | "keys"
  | "values";
type Optional = "center";

/**
 * `rope` and `appendKv` in one launch: queries, keys and values side by side, `x` f32 [tokens, query, key
 * and value heads, head size], to turned queries `q` f32 [tokens, query heads, head size]; keys, turned,
 * and values go to `slots` u32 [tokens] of the pools `keys` and `values` u32 [pages, words]. Bits are those
 * of the two launches, which keys with a `compensation` take: one more tensor is more than the 8 that WebGPU
 * lets a shader have.
 */
export const ropeAppend: Kernel<In, "q", RopeAppendOptions, "keys" | "values", Optional> = {
  wgsl: `${pair}\n${appendParts}\n${wgsl}`,
  inputs: ["x", "positions", "angles", "center", "slots", "keys", "values"],
  outputs: ["q"],
  mutates: ["keys", "values"],
  optional: ["center"],
  plan({ slots, keys, values, ...inputs }, options, limits) {
    const { key, value, kvHeads, hadamard = false } = options;
    const turned = rope.plan(inputs, options, limits);
    const { q, k } = turned.outputs;
    const [tokens = 0, heads = 0, size = 0] = q.shape;
    if (slots.dtype !== "u32" || slots.shape[0] !== tokens || slots.shape.length !== 1) {
      throw new RangeError(`Cannot append to ${describe(slots)}: expected slots u32[${tokens}]`);
    }
    const pages = poolPages(keys, k, key);
    if (poolPages(values, k, value) !== pages) {
      throw new RangeError(
        `Cannot append to ${describe(keys)} and ${describe(values)}: expected equally many pages`,
      );
    }
    const { NEIGHBOURS, CENTERED, STILL_KEYS } = turned.constants;
    return {
      outputs: { q },
      constants: {
        NEIGHBOURS: NEIGHBOURS!,
        CENTERED: CENTERED!,
        STILL_KEYS: STILL_KEYS!,
        MIXED: hadamard,
        SIZE: size,
        ...schemeConstants({ key, value }),
        THREADS,
      },
      params: {
        ...turned.params,
        pages: { u32: pages },
        key_words: { u32: pageWords(key, kvHeads, size) },
        key_scale: { f32: fixedScale(key) },
        key_clip: { f32: key.clip ?? 1 },
        value_words: { u32: pageWords(value, kvHeads, size) },
        value_scale: { f32: fixedScale(value) },
        value_clip: { f32: value.clip ?? 1 },
      },
      grid: [heads + 2 * kvHeads, tokens, 1],
    };
  },
  cpu({ x: { shape: [count = 0, all = 0, size = 0] }, keys }, options, { params }) {
    const { key, value, kvHeads, neighbours = false, stillKeys = false } = options;
    if (4 * (kvHeads + 1) * size > SCRATCH_BYTES) {
      throw new RangeError(
        `Cannot append ${kvHeads} heads of ${size} channels: expected at most ${
          SCRATCH_BYTES / 4 - size
        } channels in all`,
      );
    }
    const { heads, kv_heads, half, pairs, scale } = params;
    const { tasks, args } = rowTasks(count, all * size);
    return {
      program: "ropeAppend",
      tasks,
      args: {
        heads: heads!,
        kv_heads: kv_heads!,
        half: half!,
        pairs: pairs!,
        scale: scale!,
        ...counts({
          pages: keys.shape[0]!,
          neighbours: Number(neighbours),
          still_keys: Number(stillKeys),
          count,
        }),
        ...args,
        ...pageArgs("key", { scheme: key, kvHeads, headSize: size }),
        ...pageArgs("value", { scheme: value, kvHeads, headSize: size }),
      },
    };
  },
  reference({ slots, keys, values, ...inputs }, options) {
    const { q, k, v } = rope.reference(inputs, options);
    return {
      q,
      keys: appended(keys, k, slots, { scheme: options.key }),
      values: appended(values, v, slots, { scheme: options.value }),
    };
  },
  get cases(): typeof ropeAppend.cases {
    return [
      turnedCase({ tokens: 1, heads: 1, kvHeads: 1, size: 16 }, post(4, 16)),
      turnedCase({ tokens: 70, heads: 4, kvHeads: 2, size: 64 }, post(4, 64)),
      turnedCase({ tokens: 9, heads: 1, kvHeads: 3, size: 64 }, post(4, 32), half(64)),
      turnedCase({ tokens: 5, heads: 2, kvHeads: 1, size: 100 }, half(100), post(8, 100)),
      turnedCase({ tokens: 3, heads: 3, kvHeads: 1, size: 128 }, post(4, 128), post(4, 128), {
        hadamard: true,
        center: true,
      }),
      turnedCase(
        { tokens: 9, heads: 2, kvHeads: 2, size: 64 },
        { ...post(4, 64), fit: true },
        { ...post(4, 32), fit: true },
        { hadamard: true, center: true },
      ),
      turnedCase({ tokens: 66, heads: 2, kvHeads: 2, size: 20 }, half(20), half(20), {
        neighbours: true,
        center: true,
      }),
      turnedCase({ tokens: 7, heads: 3, kvHeads: 2, size: 64 }, post(4, 64), post(4, 64), {
        stillKeys: true,
      }),
      turnedCase({ tokens: 4, heads: 2, kvHeads: 1, size: 256 }, post(4, 256), post(8, 64), {
        neighbours: true,
        hadamard: true,
      }),
      turnedCase({ tokens: 66, heads: 3, kvHeads: 1, size: 64 }, post(4, 64), post(4, 32), {
        hadamard: true,
        sinks: 4,
      }),
      turnedCase({ tokens: 5, heads: 2, kvHeads: 2, size: 20 }, post(8, 20), half(20), {
        sinks: 2,
      }),
      {
        ...turnedCase({ tokens: 512, heads: 9, kvHeads: 3, size: 64 }, post(4, 64)),
        cost: { bytes: 512 * 64 * (8 * 9 + 6 * 4.5), flops: 512 * 64 * (9 * 3 + 6 * 8) },
        timedOnly: true,
      },
    ];
  },
};

function post(bits: 4 | 8, group: number): KvScheme {
  return { bits, zero: "post_scale", group };
}

function half(size: number): KvScheme {
  return { bits: 16, zero: "none", group: size };
}

interface Sizes {
  readonly tokens: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly size: number;
}

/** Tokens in scattered slots, the last of which is padding. */
function turnedCase(
  { tokens, heads, kvHeads, size }: Sizes,
  key: KvScheme,
  value: KvScheme = key,
  { center: centered = false, sinks = 0, ...options }: Omit<RopeOptions, "kvHeads"> & {
    readonly center?: boolean;
    readonly sinks?: number;
  } = {},
) {
  const plain = written({ tokens, kvHeads, headSize: size }, key, value);
  const { slots, keys, values } = (sinks > 0 ? withSinks(plain, sinks) : plain).inputs;
  const center = { dtype: "f32", shape: [kvHeads, size] } as const;
  const spec = (...shape: readonly number[]): TensorSpec => ({ dtype: "f32", shape });
  return {
    inputs: {
      x: spec(tokens, heads + 2 * kvHeads, size),
      positions: u32([tokens], Array.from({ length: tokens }, (_, i) => (5 * i + 2) % PAGE_TOKENS)),
      angles: spec(PAGE_TOKENS, size),
      ...centered && { center },
      slots,
      keys,
      values,
    },
    options: { ...options, kvHeads, key, value },
    // What turns a little otherwise can move over the border between two codes.
    tolerance: 1e-4,
  };
}
