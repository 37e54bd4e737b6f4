import type { HostTensor, TensorSpec } from "./device/device.ts";
import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import {
  checkPage,
  PAGE_TOKENS,
  pageArgs,
  pageOf,
  pageWords,
  slotOf,
  writeSlot,
} from "./codes/kv_page.ts";
import { fixedScale, type KvScheme, schemeConstants } from "./codes/kv_scheme.ts";
import append from "./parts/append_head.wgsl" with { type: "text" };
import half from "./parts/half.wgsl" with { type: "text" };
import page from "./codes/kv_page.wgsl" with { type: "text" };
import quantizer from "./codes/quantizer.wgsl" with { type: "text" };
import quotient from "./parts/quotient.wgsl" with { type: "text" };
import rounding from "./codes/rounding.wgsl" with { type: "text" };
import wgsl from "./append_kv.wgsl" with { type: "text" };

/** What shaders that append share, and what that rests on. */
export const appendParts = [half, quotient, quantizer, rounding, page, append].join("\n");

const THREADS = 64;
/** Values that a task of the CPU engine writes, about. */
const TASK_VALUES = 16384;

/** How keys and values are held. */
export interface AppendKvOptions {
  readonly key: KvScheme;
  readonly value: KvScheme;
}

type Pool = "keys" | "values";
type In = "k" | "v" | "slots" | "compensation" | Pool;

/**
 * Appends keys (after RoPE) and values to a paged cache: `k` and `v` f32 [tokens, kv heads, head size]
 * are quantized and written to `slots` u32 [tokens] (page * 64 + offset, each at most once) of the pools
 * `keys` and `values` u32 [pages, words]. A slot behind the last page is left out, which pads a batch; those
 * of sinks, as `slotOf()` makes them, get f16 values.
 *
 * With `compensation` f32 [kv heads, head size, head size], 0 on and below the diagonals, the channels of a
 * head of keys get codes one after another: what the code of channel i misses of the key, times entry (i, j),
 * is added to channel j behind it. Ranges are those of the keys as they are. By the factor of a head's
 * queries this is LDLQ (Chee et al. 2023, QuIP, section 3.1): products with those queries err least.
 */
export const appendKv: Kernel<In, never, AppendKvOptions, Pool, "compensation"> = {
  wgsl: `${appendParts}\n${wgsl}`,
  inputs: ["k", "v", "slots", "compensation", "keys", "values"],
  outputs: [],
  mutates: ["keys", "values"],
  optional: ["compensation"],
  plan({ k, v, slots, compensation, keys, values }, { key, value }) {
    const [tokens, kvHeads, headSize] = k.shape;
    if (
      tokens === undefined || kvHeads === undefined || headSize === undefined ||
      k.shape.length !== 3 || v.shape.join() !== k.shape.join()
    ) {
      throw new RangeError(
        `Cannot append ${describe(k)} and ${
          describe(v)
        }: expected twice [tokens, kv heads, head size]`,
      );
    }
    if (slots.dtype !== "u32" || slots.shape[0] !== tokens || slots.shape.length !== 1) {
      throw new RangeError(`Cannot append to ${describe(slots)}: expected slots u32[${tokens}]`);
    }
    const pages = poolPages(keys, k, key);
    if (poolPages(values, v, value) !== pages) {
      throw new RangeError(
        `Cannot append to ${describe(keys)} and ${describe(values)}: expected equally many pages`,
      );
    }
    checkCompensation(compensation, k, key);
    const groups = headSize / Math.min(key.group, value.group);
    return {
      outputs: {},
      constants: {
        SIZE: headSize,
        ...schemeConstants({ key, value }),
        COMPENSATED: compensation !== undefined,
        THREADS,
      },
      params: {
        tokens: { u32: tokens },
        kv_heads: { u32: kvHeads },
        pages: { u32: pages },
        key_words: { u32: pageWords(key, kvHeads, headSize) },
        key_scale: { f32: fixedScale(key) },
        key_clip: { f32: key.clip ?? 1 },
        value_words: { u32: pageWords(value, kvHeads, headSize) },
        value_scale: { f32: fixedScale(value) },
        value_clip: { f32: value.clip ?? 1 },
      },
      grid: [Math.ceil(tokens * kvHeads * groups / THREADS), 2, 1],
    };
  },
  cpu({ k: { shape: [tokens = 0, kvHeads = 0, size = 0] }, keys }, { key, value }) {
    const taskTokens = Math.max(1, Math.floor(TASK_VALUES / (kvHeads * size)));
    return {
      program: "appendKv",
      tasks: 2 * Math.ceil(tokens / taskTokens),
      args: {
        ...counts({
          tokens,
          kv_heads: kvHeads,
          pages: keys.shape[0]!,
          size,
          task_tokens: taskTokens,
        }),
        ...pageArgs("key", { scheme: key, kvHeads, headSize: size }),
        ...pageArgs("value", { scheme: value, kvHeads, headSize: size }),
      },
    };
  },
  reference({ k, v, slots, compensation, keys, values }, { key, value }) {
    return {
      keys: appended(keys, k, slots, { scheme: key, compensation }),
      values: appended(values, v, slots, { scheme: value }),
    };
  },
  get cases(): typeof appendKv.cases {
    return [
      written({ tokens: 1, kvHeads: 1, headSize: 16 }, { bits: 4, zero: "post_scale", group: 16 }),
      written(
        { tokens: 70, kvHeads: 2, headSize: 64 },
        { bits: 4, zero: "post_scale", group: 64, fit: true },
      ),
      written(
        { tokens: 33, kvHeads: 3, headSize: 80 },
        { bits: 4, zero: "pre_scale", group: 80, clip: 0.98, fit: true },
        { bits: 8, zero: "none", group: 40, fit: true },
      ),
      edges({ bits: 4, zero: "post_scale", group: 16, fit: true }),
      edges({ bits: 4, zero: "pre_scale", group: 16, fit: true }),
      edges({ bits: 4, zero: "none", group: 16, fit: true }),
      written({ tokens: 70, kvHeads: 2, headSize: 64 }, { bits: 4, zero: "post_scale", group: 64 }),
      written({ tokens: 33, kvHeads: 3, headSize: 64 }, { bits: 4, zero: "pre_scale", group: 32 }),
      written({ tokens: 19, kvHeads: 1, headSize: 128 }, { bits: 4, zero: "none", group: 128 }),
      written({ tokens: 31, kvHeads: 2, headSize: 80 }, { bits: 4, zero: "post_scale", group: 8 }),
      written({ tokens: 70, kvHeads: 2, headSize: 64 }, { bits: 8, zero: "post_scale", group: 64 }),
      written({ tokens: 9, kvHeads: 2, headSize: 32 }, { bits: 8, zero: "pre_scale", group: 16 }),
      written({ tokens: 65, kvHeads: 2, headSize: 80 }, { bits: 8, zero: "none", group: 80 }),
      written({ tokens: 31, kvHeads: 2, headSize: 100 }, {
        bits: 4,
        zero: "post_scale",
        group: 100,
      }),
      written({ tokens: 9, kvHeads: 3, headSize: 20 }, { bits: 8, zero: "pre_scale", group: 20 }),
      written({ tokens: 9, kvHeads: 3, headSize: 12 }, { bits: 16, zero: "none", group: 12 }),
      written(
        { tokens: 70, kvHeads: 1, headSize: 100 },
        { bits: 8, zero: "none", group: 100, range: 2.5 },
        { bits: 4, zero: "none", group: 100 },
      ),
      written({ tokens: 5, kvHeads: 1, headSize: 256 }, {
        bits: 4,
        zero: "post_scale",
        group: 128,
      }),
      written(
        { tokens: 12, kvHeads: 2, headSize: 64 },
        { bits: 8, zero: "none", group: 64, range: 2.5 },
      ),
      written({ tokens: 21, kvHeads: 2, headSize: 32 }, { bits: 16, zero: "none", group: 32 }),
      written(
        { tokens: 70, kvHeads: 2, headSize: 64 },
        { bits: 4, zero: "post_scale", group: 64, clip: 0.9 },
      ),
      written(
        { tokens: 9, kvHeads: 3, headSize: 64 },
        { bits: 4, zero: "pre_scale", group: 32, clip: 0.8 },
      ),
      written(
        { tokens: 21, kvHeads: 2, headSize: 80 },
        { bits: 8, zero: "none", group: 80, clip: 0.7 },
      ),
      edges({ bits: 4, zero: "post_scale", group: 16 }),
      edges({ bits: 4, zero: "pre_scale", group: 16 }),
      edges({ bits: 8, zero: "none", group: 16 }),
      edges({ bits: 8, zero: "post_scale", group: 16 }),
      edges({ bits: 16, zero: "none", group: 16 }),
      edges({ bits: 4, zero: "post_scale", group: 16, clip: 0.6 }),
      edges({ bits: 4, zero: "pre_scale", group: 16, clip: 0.3 }),
      edges({ bits: 4, zero: "none", group: 16, clip: 0.5 }),
      written(
        { tokens: 70, kvHeads: 2, headSize: 64 },
        { bits: 4, zero: "post_scale", group: 32 },
        { bits: 8, zero: "none", group: 64, range: 1.5 },
      ),
      written(
        { tokens: 33, kvHeads: 2, headSize: 64 },
        { bits: 16, zero: "none", group: 64 },
        { bits: 4, zero: "pre_scale", group: 16, clip: 0.9 },
      ),
      compensated(
        written(
          { tokens: 70, kvHeads: 2, headSize: 64 },
          { bits: 4, zero: "post_scale", group: 64, fit: true },
        ),
      ),
      compensated(
        written(
          { tokens: 33, kvHeads: 3, headSize: 80 },
          { bits: 4, zero: "pre_scale", group: 16, clip: 0.9 },
          { bits: 8, zero: "none", group: 40 },
        ),
      ),
      compensated(
        written(
          { tokens: 9, kvHeads: 2, headSize: 20 },
          { bits: 8, zero: "none", group: 20, range: 2.5 },
          { bits: 4, zero: "post_scale", group: 20 },
        ),
      ),
      compensated(edges({ bits: 4, zero: "none", group: 16 })),
      withSinks(
        written({ tokens: 70, kvHeads: 2, headSize: 64 }, {
          bits: 4,
          zero: "post_scale",
          group: 32,
        }),
        4,
      ),
      withSinks(
        written(
          { tokens: 9, kvHeads: 3, headSize: 20 },
          { bits: 8, zero: "none", group: 20, range: 2.5 },
          { bits: 4, zero: "pre_scale", group: 20, clip: 0.9, fit: true },
        ),
        3,
      ),
      withSinks(edges({ bits: 4, zero: "none", group: 16 }), 16),
      withSinks(
        compensated(
          written({ tokens: 9, kvHeads: 2, headSize: 80 }, {
            bits: 4,
            zero: "post_scale",
            group: 16,
          }),
        ),
        2,
      ),
      timed({ tokens: 512, kvHeads: 3, headSize: 64 }, { bits: 4, zero: "post_scale", group: 64 }),
      compensated(
        timed({ tokens: 512, kvHeads: 3, headSize: 64 }, {
          bits: 4,
          zero: "post_scale",
          group: 64,
        }),
      ),
      timed({ tokens: 512, kvHeads: 3, headSize: 64 }, { bits: 8, zero: "none", group: 64 }),
    ];
  },
};

/** Pages of a pool, which must be able to hold such keys or values. */
export function poolPages(pool: TensorSpec, x: TensorSpec, scheme: KvScheme): number {
  const [, kvHeads = 0, headSize = 0] = x.shape;
  checkPage({ scheme, kvHeads, headSize });
  const words = pageWords(scheme, kvHeads, headSize);
  const [count, held] = pool.shape;
  if (pool.dtype !== "u32" || count === undefined || held !== words) {
    throw new RangeError(
      `Cannot append ${describe(x)} to pages ${describe(pool)}: expected u32[pages, ${words}]`,
    );
  }
  return count;
}

/** Throws unless the codes of such keys can be compensated by what is given. */
function checkCompensation(
  compensation: TensorSpec | undefined,
  { shape: [, kvHeads = 0, headSize = 0] }: TensorSpec,
  { bits }: KvScheme,
): void {
  if (!compensation) return;
  if (bits === 16) {
    throw new RangeError("Cannot compensate keys of 16 bits: they get no codes, expected 4 or 8");
  }
  if (
    compensation.dtype !== "f32" ||
    compensation.shape.join() !== [kvHeads, headSize, headSize].join()
  ) {
    throw new RangeError(
      `Cannot compensate keys by ${
        describe(compensation)
      }: expected f32[${kvHeads}, ${headSize}, ${headSize}]`,
    );
  }
}

/** A pool after the tokens were written to their slots. */
export function appended(
  pool: HostTensor,
  x: HostTensor,
  slots: HostTensor,
  { scheme, compensation }: {
    readonly scheme: KvScheme;
    readonly compensation?: HostTensor | undefined;
  },
): HostTensor {
  const [, kvHeads = 0, headSize = 0] = x.shape;
  const [count = 0] = pool.shape;
  const data = Uint32Array.from(pool.data);
  const values = Float32Array.from(x.data);
  const shares = compensation && Float32Array.from(compensation.data);
  slots.data.forEach((slot, token) => {
    if (pageOf(slot) >= count) return;
    const row = values.subarray(token * kvHeads * headSize, (token + 1) * kvHeads * headSize);
    writeSlot(data, slot, row, { scheme, kvHeads, headSize, compensation: shares });
  });
  return u32(pool.shape, data);
}

interface Sizes {
  readonly tokens: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/** Tokens in scattered slots of pages that are full of something else. */
export function written(
  { tokens, kvHeads, headSize }: Sizes,
  key: KvScheme,
  value: KvScheme = key,
  k: TensorSpec | HostTensor = { dtype: "f32", shape: [tokens, kvHeads, headSize] },
) {
  const count = Math.ceil(tokens / PAGE_TOKENS) + 1;
  // 29 has no factor in common with 64, so no slot comes twice; the last token is padding.
  const slot = (token: number) => (token * 29 + 7) % (count * PAGE_TOKENS);
  const slots = Uint32Array.from({ length: tokens }, (_, token) => slot(token));
  if (tokens > 1) slots[tokens - 1] = count * PAGE_TOKENS;
  const pool = (scheme: KvScheme, factor: number) => {
    const words = pageWords(scheme, kvHeads, headSize);
    return u32(
      [count, words],
      new Uint32Array(count * words).map((_, i) => Math.imul(i + 1, factor)),
    );
  };
  const [keys, values] = [pool(key, 0x9e3779b1), pool(value, 0x85ebca6b)];
  const v = { dtype: "f32", shape: k.shape } as const;
  return {
    inputs: { k, v, slots: u32([tokens], slots), keys, values },
    options: { key, value },
    tolerance: 0,
  };
}

/** Vectors of zeros, of one value, of one sign, with ties, tiny, and beyond f16. */
function edges(scheme: KvScheme) {
  const rows: readonly ((i: number) => number)[] = [
    () => 0,
    () => 3.14159,
    () => -0.3333,
    (i) => 5 + i / 16,
    (i) => -2 - i,
    (i) => i - 0.5,
    (i) => (i - 7) * 0.5,
    (i) => (i - 7) * 1e-6,
    (i) => (i - 7) * 3e-8,
    (i) => (i - 7) * 1e-9,
    (i) => (i - 7) * 2e6,
    (i) => i === 3 ? 1000 : 0.01 * i,
  ];
  const shape = [rows.length + 1, 1, 16];
  const values = [...rows, () => 1].flatMap((row) => Array.from({ length: 16 }, (_, i) => row(i)));
  return written(
    { tokens: rows.length + 1, kvHeads: 1, headSize: 16 },
    scheme,
    scheme,
    f32(shape, values),
  );
}

/** The same with keys whose codes make up for those before them. */
function compensated<T extends { readonly inputs: ReturnType<typeof written>["inputs"] }>(one: T) {
  const [, kvHeads = 0, headSize = 0] = one.inputs.k.shape;
  return { ...one, inputs: { ...one.inputs, compensation: someCompensation(kvHeads, headSize) } };
}

/** The same where tokens are a sequence's first ones, some of them sinks; the last is padding. */
export function withSinks<T extends { readonly inputs: ReturnType<typeof written>["inputs"] }>(
  one: T,
  sinks: number,
): T {
  const { slots, keys: { shape: [count = 0] } } = one.inputs;
  const pages = Array.from({ length: count }, (_, page) => count - 1 - page);
  const data = Uint32Array.from(slots.data, (_, token) => slotOf(pages, token, sinks));
  data[data.length - 1] = count * PAGE_TOKENS;
  return { ...one, inputs: { ...one.inputs, slots: u32(slots.shape, data) } };
}

/** Entries between -0.5 and 0.5 above the diagonals of heads. */
function someCompensation(kvHeads: number, headSize: number): HostTensor {
  const entry = (at: number) => {
    const [row, column] = [Math.floor(at / headSize) % headSize, at % headSize];
    return column > row ? (Math.imul(at + 1, 0x9e3779b1) >> 16) / 65536 : 0;
  };
  const data = Float32Array.from({ length: kvHeads * headSize ** 2 }, (_, at) => entry(at));
  return f32([kvHeads, headSize, headSize], data);
}

function timed(sizes: Sizes, scheme: KvScheme) {
  const values = 2 * sizes.tokens * sizes.kvHeads * sizes.headSize;
  return {
    ...written(sizes, scheme),
    cost: { bytes: values * (4 + scheme.bits / 8), flops: 6 * values },
  };
}
