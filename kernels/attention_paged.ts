import type { HostTensor, Limits, TensorSpec } from "./device/device.ts";
import { counts, type Kernel } from "./device/kernel.ts";
import { byteLength, describe, elements, f32, lazyTensor, u32 } from "./device/tensor.ts";
import {
  attention,
  type AttentionOptions,
  attentionTile,
  NO_WINDOW,
  taskSizes,
  TURNS_A_KEY,
} from "./attention.ts";
import bindings from "./parts/attention_bindings.wgsl" with { type: "text" };
import blocks from "./parts/attention_blocks.wgsl" with { type: "text" };
import {
  checkPage,
  checkSinks,
  leadOf,
  PAGE_TOKENS,
  pageArgs,
  pageWords,
  readSlot,
  slotOf,
  writeSlot,
} from "./codes/kv_page.ts";
import { fixedScale, type KvScheme, schemeConstants } from "./codes/kv_scheme.ts";
import softCap from "./parts/soft_cap.wgsl" with { type: "text" };
import page from "./codes/kv_page.wgsl" with { type: "text" };
import quantizer from "./codes/quantizer.wgsl" with { type: "text" };
import read from "./codes/kv_read.wgsl" with { type: "text" };
import merge from "./attention_paged_merge.wgsl" with { type: "text" };
import keysShared from "./parts/attention_keys.wgsl" with { type: "text" };
import keysSubgroup from "./parts/attention_keys_subgroup.wgsl" with { type: "text" };
import slice from "./parts/attention_slice.wgsl" with { type: "text" };
import slices from "./attention_paged_slices.wgsl" with { type: "text" };
import split from "./attention_paged_split.wgsl" with { type: "text" };
import tiles from "./attention_paged.wgsl" with { type: "text" };

/** What attention over pages needs to know beside the shapes. */
export interface AttentionPagedOptions extends AttentionOptions {
  readonly kvHeads: number;
  /** How keys and values are held. */
  readonly key: KvScheme;
  readonly value: KvScheme;
  /** First tokens of every sequence that stay in half precision; none unless said. */
  readonly sinks?: number | undefined;
  /** Most queries that a sequence of the batch has. */
  readonly queries: number;
  /** Most places that a sequence of the batch has; as many as the whole block table holds unless said. */
  readonly keys?: number;
}

/** A sequence in a batch: its queries are consecutive rows of q, its last ones at its last keys. */
export interface AttentionSpan {
  /** Its first row. */
  readonly row: number;
  readonly queries: number;
  /** Places up to its last token, its queries included: its length where it has no sinks; see `leadOf`. */
  readonly keys: number;
  /** Its first entry in the block table. */
  readonly table: number;
}

/** The longest sequence that a device can attend to, whatever its queries. */
export function longestSequence({ turns = Infinity }: Limits): number {
  return Math.floor(turns / TURNS_A_KEY);
}

type In = "q" | "k" | "v" | "block_table" | "spans" | "work";

/** Queries of an item of work. */
const TILE = 16;
const MOST_SPLIT_QUERIES = 4;
/** Keys of a block, as parts/attention_blocks.wgsl has it: most threads that hand its weights round. */
const BLOCK = 16;
const LEAST_SHARE = 4;
/** Keys whose sums are merged as one, whoever makes them. */
const SLICE = 256;
/** Workgroups with which a graphics processor has enough to do. */
const ENOUGH_WORKGROUPS = 512;
/** Most bytes of what slices leave to be merged. */
const MOST_SLICES_BYTES = 2 ** 25;

/** The shaders of attention over pages behind what binds what they read. */
export function pagedShaders(bindings: string) {
  const parts = [quantizer, page, read, bindings, blocks, softCap].join("\n");
  return {
    tiles: `${parts}\n${tiles}`,
    split: `${parts}\n${keysShared}\n${slice}\n${split}`,
    split_subgroup: `${parts}\n${keysSubgroup}\n${slice}\n${split}`,
    slices: `${parts}\n${keysShared}\n${slice}\n${slices}`,
    slices_subgroup: `${parts}\n${keysSubgroup}\n${slice}\n${slices}`,
    merge: `${parts}\n${keysShared}\n${slice}\n${merge}`,
  };
}

/** A batch as the kernel takes it: its spans u32 [sequences, 4], and items of work u32 [items, 2]. */
export function attentionBatch(
  spans: readonly AttentionSpan[],
): { readonly spans: HostTensor; readonly work: HostTensor } {
  const facts = new Uint32Array(4 * spans.length);
  const items: number[] = [];
  spans.forEach(({ row, queries, keys, table }, sequence) => {
    facts.set([row, queries, keys, table], 4 * sequence);
    for (let first = 0; first < queries; first += TILE) items.push(sequence, first);
  });
  return { spans: u32([spans.length, 4], facts), work: u32([items.length / 2, 2], items) };
}

/**
 * Causal attention of a batch of sequences over a paged cache: `q` f32 [rows, heads, head size], pools
 * `k` and `v` u32 [pages, words], `block_table` u32 [entries] the pool's page of each 64 keys, sequence
 * after sequence, `spans` u32 [sequences, 4] as `attentionBatch()` makes them, `work` u32 [items, 2]
 * 16 queries of a sequence each (the sequence, and the first of them), `y` like `q`. The last query of a
 * sequence stands at its last key; heads share kv heads in order (GQA). Rows of no span are left out.
 *
 * Codes become values in registers; softmax is online, in f32. A query's bits depend neither on what
 * else is in the batch nor on how many queries its sequence brings: all shaders add in one order.
 */
export const attentionPaged: Kernel<In, "y", AttentionPagedOptions> = {
  wgsl: pagedShaders(bindings),
  inputs: ["q", "k", "v", "block_table", "spans", "work"],
  outputs: ["y"],
  plan(inputs, options, limits) {
    const { items, heads, size } = dimensions(inputs, options);
    const { kvHeads, key, value, queries, window = NO_WINDOW, scale, cap, sinks = 0 } = options;
    const params = {
      ...counts({ heads, kv_heads: kvHeads, window }),
      scale: { f32: scale ?? 1 / Math.sqrt(size) },
      cap: { f32: cap ?? 0 },
      key_words: { u32: pageWords(key, kvHeads, size) },
      key_scale: { f32: fixedScale(key) },
      value_words: { u32: pageWords(value, kvHeads, size) },
      value_scale: { f32: fixedScale(value) },
      pairs: { u32: 0 },
    };
    const constants = {
      SIZE: size,
      CAPPED: cap !== undefined,
      TURNED: false,
      SINKS: sinks,
      ...schemeConstants({ key, value }),
    };
    const outputs = { y: { dtype: "f32", shape: inputs.q.shape } } as const;
    // Which sequence has how many is in `spans`.
    const { keys: longest = PAGE_TOKENS * elements(inputs.block_table.shape) } = options;
    const keys = Math.min(longest, window + PAGE_TOKENS);
    const tile = attentionTile(Math.ceil(size / 8) * 8, limits, { queries: [TILE], least: 16 });
    if (queries <= MOST_SPLIT_QUERIES || !tile) {
      const PARTS = Math.min(queries, TILE);
      const grid = [items * PARTS, heads, 1] as const;
      // The sums of their blocks take 8 KiB of workgroup memory.
      const KEYS = [256, 128, 64, 32].find((keys) => keys * size <= 2 ** 15) ?? 16;
      const { subgroupThreads = 0, choices } = limits;
      const shares = choices?.keySubgroups && subgroupThreads >= LEAST_SHARE;
      const SHARE = Math.min(BLOCK, subgroupThreads);
      const parted = { ...constants, PARTS, KEYS, ...shares && { SHARE } };
      const [kind, subgroups] = shares ? ["_subgroup", { subgroups: true }] as const : ["", {}];
      const HELD_SLICES = Math.ceil(longest / SLICE);
      const groups = items * PARTS * heads;
      const scratch = { dtype: "f32", shape: [groups * HELD_SLICES, size + 4] } as const;
      const fit = HELD_SLICES > 1 && byteLength(scratch) <= MOST_SLICES_BYTES;
      const { slices = groups < ENOUGH_WORKGROUPS } = choices ?? {};
      if (fit && slices && limits.adapter === "gpu") {
        return {
          shader: `slices${kind}`,
          ...subgroups,
          outputs,
          constants: { ...parted, HELD_SLICES },
          params,
          grid: [items * PARTS, heads, HELD_SLICES],
          then: { shader: "merge", grid },
          scratch,
        };
      }
      // A thread scores one key of 128, and adds the values of 8 channels.
      const turns = Math.ceil(TURNS_A_KEY / 4 * keys);
      const shader = `split${kind}`;
      return { shader, ...subgroups, outputs, constants: parted, params, grid, turns };
    }
    const grid = [items, heads, 1] as const;
    const { KEYS } = tile;
    const turns = TURNS_A_KEY * keys;
    return { shader: "tiles", outputs, constants: { ...constants, KEYS }, params, grid, turns };
  },
  cpu(inputs, options, { params: { heads, kv_heads, window, scale, cap } }) {
    const { kvHeads, key, value, queries, sinks = 0 } = options;
    const { items, ...sizes } = dimensions(inputs, options);
    const { taskHeads, across, steps } = taskSizes({ ...sizes, kvHeads }, TILE);
    // Items of few queries are of different sequences.
    const taskItems = queries <= TILE ? 1 : steps;
    return {
      program: "attentionPaged",
      tasks: Math.ceil(items / taskItems) * across,
      args: {
        heads: heads!,
        kv_heads: kv_heads!,
        window: window!,
        scale: scale!,
        cap: cap!,
        ...counts({
          items,
          size: sizes.size,
          item_queries: TILE,
          task_items: taskItems,
          task_heads: taskHeads,
          sinks,
        }),
        ...pageArgs("key", { scheme: key, kvHeads, headSize: sizes.size }),
        ...pageArgs("value", { scheme: value, kvHeads, headSize: sizes.size }),
      },
    };
  },
  reference: (inputs, options) => ({ y: attended(inputs, options, (keys) => keys) }),
  get cases(): typeof attentionPaged.cases {
    return [
      heldCase({ queries: 1, heads: 1, kvHeads: 1, size: 16 }, post(4, 16)),
      heldCase({ queries: 1, keys: 333, heads: 4, kvHeads: 2, size: 64 }, post(4, 64)),
      heldCase({ queries: 1, keys: 90, heads: 12, kvHeads: 2, size: 16 }, post(4, 16)),
      heldCase({ queries: 1, keys: 70, heads: 24, kvHeads: 1, size: 32 }, pre(8, 32), none(8, 32)),
      heldCase({ queries: 70, heads: 3, kvHeads: 1, size: 64 }, post(4, 64)),
      heldCase({ queries: 133, heads: 2, kvHeads: 2, size: 128 }, pre(4, 128)),
      heldCase({ queries: 21, keys: 90, heads: 2, kvHeads: 1, size: 32 }, none(4, 32), post(8, 32)),
      heldCase({ queries: 2, keys: 150, heads: 2, kvHeads: 1, size: 128 }, post(4, 64), pre(4, 32)),
      heldCase({ queries: 34, keys: 70, heads: 4, kvHeads: 2, size: 64 }, post(8, 32), none(4, 8)),
      heldCase({ queries: 130, heads: 2, kvHeads: 1, size: 80 }, none(8, 80), none(8, 80), {
        window: 37,
      }),
      heldCase({ queries: 3, keys: 200, heads: 2, kvHeads: 1, size: 80 }, pre(8, 40), post(4, 16), {
        window: 70,
        scale: 0.5,
      }),
      heldCase({ queries: 3, keys: 90, heads: 4, kvHeads: 1, size: 32 }, post(4, 32), pre(8, 32), {
        window: 40,
        scale: 0.7,
        cap: 2.5,
      }),
      heldCase(
        { queries: 21, keys: 90, heads: 4, kvHeads: 1, size: 32 },
        none(16, 32),
        none(16, 32),
        {
          window: 40,
          scale: 0.7,
          cap: 2.5,
        },
      ),
      heldCase(
        { queries: 5, keys: 150, heads: 2, kvHeads: 1, size: 64 },
        none(8, 64, 3),
        none(8, 64, 2),
      ),
      heldCase(
        { queries: 19, keys: 81, heads: 2, kvHeads: 2, size: 64 },
        none(16, 64),
        none(16, 64),
      ),
      heldCase(
        { queries: 1, keys: 65, heads: 2, kvHeads: 2, size: 80 },
        none(16, 80),
        none(8, 80, 1),
      ),
      heldCase({ queries: 1, keys: 70, heads: 2, kvHeads: 1, size: 100 }, post(4, 100)),
      heldCase(
        { queries: 19, keys: 81, heads: 2, kvHeads: 2, size: 100 },
        pre(4, 100),
        none(8, 100),
      ),
      heldCase(
        { queries: 3, keys: 66, heads: 2, kvHeads: 1, size: 100 },
        none(16, 100),
        post(8, 100),
      ),
      heldCase({ queries: 18, keys: 66, heads: 2, kvHeads: 1, size: 20 }, none(16, 20)),
      heldCase({ queries: 2, keys: 5, heads: 1, kvHeads: 1, size: 8 }, post(4, 8), none(16, 8)),
      heldCase(
        { queries: 18, keys: 70, heads: 2, kvHeads: 1, size: 256 },
        post(4, 256),
        post(4, 64),
      ),
      heldCase({ queries: 1, keys: 70, heads: 2, kvHeads: 1, size: 256 }, post(4, 128)),
      heldCase({ queries: 1, keys: 70, heads: 2, kvHeads: 1, size: 96 }, post(4, 96), post(4, 48)),
      heldCase({ queries: 1, heads: 2, kvHeads: 1, size: 64 }, post(4, 64), post(4, 64), {
        sinks: 4,
      }),
      heldCase({ queries: 1, keys: 333, heads: 4, kvHeads: 2, size: 64 }, post(4, 64), pre(4, 64), {
        sinks: 4,
      }),
      heldCase({ queries: 133, heads: 2, kvHeads: 1, size: 64 }, post(4, 64), post(4, 64), {
        sinks: 1,
      }),
      heldCase({ queries: 130, heads: 2, kvHeads: 1, size: 80 }, none(8, 80), pre(4, 16), {
        window: 37,
        sinks: 3,
      }),
      heldCase(
        { queries: 3, keys: 90, heads: 4, kvHeads: 1, size: 100 },
        post(4, 100),
        none(8, 100),
        {
          sinks: 16,
          cap: 2.5,
        },
      ),
      heldCase(
        { queries: 19, keys: 70, heads: 2, kvHeads: 1, size: 128 },
        none(8, 128, 3),
        none(16, 128),
        {
          sinks: 7,
        },
      ),
      heldCase(
        { queries: 4, keys: 600, heads: 2, kvHeads: 1, size: 256 },
        post(4, 256),
        post(4, 64),
        {
          sinks: 2,
          window: 200,
        },
      ),
      heldCase({ queries: 3, keys: 8200, heads: 1, kvHeads: 1, size: 64 }, post(4, 64)),
      { ...timed({ queries: 512, heads: 9, kvHeads: 3, size: 64 }, post(4, 64)), timedOnly: true },
      timed({ queries: 1, keys: 2048, heads: 9, kvHeads: 3, size: 64 }, none(8, 64)),
      batch([{ queries: 1, keys: 70 }, { queries: 1, keys: 1 }, { queries: 1, keys: 64 }]),
      batch([{ queries: 3, keys: 130 }, { queries: 0, keys: 0 }, { queries: 4, keys: 4 }]),
      batch([{ queries: 37, keys: 90 }, { queries: 1, keys: 200 }, { queries: 16, keys: 16 }]),
      heldCase({ queries: 2, keys: 2050, heads: 2, kvHeads: 1, size: 64 }, post(4, 64)),
    ];
  },
};

/** What attention over pages gives on the host, of keys f32 [keys, kv heads, head size] as `read` makes them. */
export function attended(
  { q, k, v, block_table, spans }: Readonly<Record<In, HostTensor>>,
  { kvHeads, key, value, sinks, queries: _queries, keys: _keys, ...rest }: AttentionPagedOptions,
  read: (keys: HostTensor) => HostTensor,
): HostTensor {
  const [, heads = 0, headSize = 0] = q.shape;
  const whole = (pool: HostTensor, scheme: KvScheme, [, , places, table]: readonly number[]) => {
    const keys = places! - leadOf(sinks);
    const values = new Float32Array(keys * kvHeads * headSize);
    const pages = Array.from(block_table.data.subarray(table));
    for (let i = 0; i < keys; i++) {
      const slot = slotOf(pages, i, sinks);
      values.set(
        readSlot(pool.data, slot, { scheme, kvHeads, headSize }),
        i * kvHeads * headSize,
      );
    }
    return f32([keys, kvHeads, headSize], values);
  };
  const data = new Float32Array(q.data.length);
  const width = heads * headSize;
  for (let at = 0; at < spans.data.length; at += 4) {
    const span = [...spans.data.subarray(at, at + 4)];
    const [row = 0, queries = 0] = span;
    if (queries === 0) continue;
    const values = q.data.subarray(row * width, (row + queries) * width) as Float32Array;
    const mine = f32([queries, heads, headSize], values);
    const inputs = { q: mine, k: read(whole(k, key, span)), v: whole(v, value, span) };
    data.set(attention.reference(inputs, rest).y.data, row * width);
  }
  return f32(q.shape, data);
}

function dimensions(
  { q, k, v, block_table, spans, work }: Readonly<Record<In, TensorSpec>>,
  { kvHeads, key, value, sinks }: AttentionPagedOptions,
) {
  checkSinks(sinks);
  const [, heads = 0, size = 0] = q.shape;
  if (q.shape.length !== 3 || heads % kvHeads !== 0) {
    throw new RangeError(
      `Cannot attend from q ${
        describe(q)
      } to ${kvHeads} kv heads: expected q [rows, heads, head size] with a multiple of ${kvHeads} heads`,
    );
  }
  for (const [name, pool, scheme] of [["k", k, key], ["v", v, value]] as const) {
    checkPage({ scheme, kvHeads, headSize: size });
    const words = pageWords(scheme, kvHeads, size);
    if (pool.dtype !== "u32" || pool.shape.length !== 2 || pool.shape[1] !== words) {
      throw new RangeError(
        `Cannot attend to pages ${name} ${describe(pool)}: expected u32[pages, ${words}]`,
      );
    }
  }
  const fits = (tensor: TensorSpec, ...inner: readonly number[]) =>
    tensor.dtype === "u32" && String(tensor.shape.slice(1)) === String(inner);
  if (!fits(block_table) || !fits(spans, 4) || !fits(work, 2)) {
    throw new RangeError(
      `Cannot attend with block table ${describe(block_table)}, spans ${describe(spans)} and work ${
        describe(work)
      }: expected u32[entries], u32[sequences, 4] and u32[items, 2]`,
    );
  }
  return { items: work.shape[0]!, heads, size };
}

interface Sizes {
  readonly queries: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly size: number;
  readonly keys?: number;
}

/** A scheme with zero points behind the scale, as cases have it. */
export function post(bits: 4 | 8, group: number): KvScheme {
  return { bits, zero: "post_scale", group };
}

/** The same with zero points before the scale. */
export function pre(bits: 4 | 8, group: number): KvScheme {
  return { bits, zero: "pre_scale", group };
}

/** The same without zero points. */
export function none(bits: 4 | 8 | 16, group: number, range?: number): KvScheme {
  return range === undefined ? { bits, zero: "none", group } : { bits, zero: "none", group, range };
}

/** A sequence that is held in pages, as cases have it. */
export function heldCase(
  { queries, keys = queries, heads, kvHeads, size }: Sizes,
  key: KvScheme,
  value: KvScheme = key,
  options: AttentionOptions & { readonly sinks?: number } = {},
) {
  const places = keys + leadOf(options.sinks);
  const used = Math.ceil(places / PAGE_TOKENS);
  // Backwards from the last but one: neither first nor last page of the pool is of the sequence.
  const table = Array.from({ length: used + 1 }, (_, i) => used - i);
  const held = { kvHeads, headSize: size, keys, table, sinks: options.sinks };
  return {
    inputs: {
      q: { dtype: "f32", shape: [queries, heads, size] },
      k: pool(key, held, 1),
      v: pool(value, held, 2),
      block_table: u32([used + 1], table),
      ...attentionBatch([{ row: 0, queries, keys: places, table: 0 }]),
    },
    options: { ...options, kvHeads, key, value, queries },
  } as const;
}

/** Sequences that read the same pages, each with rows of its own, and a row that belongs to none. */
function batch(sequences: readonly { readonly queries: number; readonly keys: number }[]) {
  const most = sequences.reduce((most, { keys }) => Math.max(most, keys), 0);
  const queries = sequences.reduce((most, { queries }) => Math.max(most, queries), 0);
  const one = heldCase({ queries, keys: most, heads: 2, kvHeads: 1, size: 64 }, post(4, 64));
  const rows = sequences.reduce((sum, { queries }) => sum + queries, 0);
  let row = 0;
  const spans = sequences.map(({ queries, keys }) => {
    row += queries;
    return { row: row - queries, queries, keys, table: 0 };
  });
  return {
    inputs: {
      ...one.inputs,
      q: { dtype: "f32", shape: [rows, 2, 64] },
      ...attentionBatch(spans),
    },
    options: one.options,
  } as const;
}

/** A pool filled when first read; what no token of the sequence stands in is NaN. */
function pool(
  scheme: KvScheme,
  { kvHeads, headSize, keys, table, sinks }: {
    readonly kvHeads: number;
    readonly headSize: number;
    readonly keys: number;
    readonly table: readonly number[];
    readonly sinks: number | undefined;
  },
  seed: number,
) {
  const shape = [table.length + 1, pageWords(scheme, kvHeads, headSize)];
  return lazyTensor({ dtype: "u32", shape }, () => {
    const data = new Uint32Array(shape[0]! * shape[1]!).fill(0xffffffff);
    let state = seed;
    const next = () => (state = Math.imul(state, 1664525) + 1013904223 | 0) / 2 ** 30 + 0.3;
    for (let i = 0; i < keys; i++) {
      const slot = slotOf(table, i, sinks);
      const values = Float32Array.from({ length: kvHeads * headSize }, next);
      writeSlot(data, slot, values, { scheme, kvHeads, headSize });
    }
    return data;
  });
}

function timed(sizes: Sizes, scheme: KvScheme) {
  const { queries, keys = queries, heads, kvHeads, size } = sizes;
  const pages = Math.ceil(keys / PAGE_TOKENS);
  const pairs = queries * (keys - (queries - 1) / 2);
  return {
    ...heldCase(sizes, scheme),
    cost: {
      bytes: 8 * queries * heads * size + 8 * pages * pageWords(scheme, kvHeads, size),
      flops: 4 * size * heads * pairs,
    },
  };
}
