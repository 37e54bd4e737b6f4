import { strict as assert } from "node:assert";
import type { HostTensor } from "../../kernels/device/device.ts";
import type { Cpu } from "../../kernels/device/cpu/cpu.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import type { AnyKernel } from "../../kernels/device/kernel.ts";
import { elements, f32, u32 } from "../../kernels/device/tensor.ts";
import { attentionBatch, type AttentionSpan } from "../../kernels/attention_paged.ts";
import {
  attentionPaged,
  matmul,
  matmulCodes,
  matmulGroups,
  matmulInt8,
  normQuantize,
  quantizeGroups,
  quantizeRows,
} from "../../kernels/mod.ts";
import {
  leadOf,
  PAGE_TOKENS,
  pagesFor,
  pageWords,
  slotOf,
  writeSlot,
} from "../../kernels/codes/kv_page.ts";
import type { KvScheme } from "../../kernels/codes/kv_scheme.ts";
import { normals, randomTensor, words } from "../support/random.ts";
import { ENGINES } from "../support/devices.ts";

/** Both sides of every number of rows at which a plan changes. */
const ROWS = [1, 2, 8, 9, 16, 17, 33];
const ALL_ROWS = 70;
const OUTPUTS = 40;
/** Values of a row: no power of two, and one that the last words and steps do not fill. */
const INNERS = [{ inner: 576, group: 64 }, { inner: 1560, group: 40 }];
/** The same with groups that end within blocks of 64, which integers are multiplied in. */
const BLOCK_INNERS = [...INNERS, { inner: 480, group: 96 }];

/** Groups of weights, most of which wrap, or none. */
const GROUPS = {
  /** Scales up to 17, so that 15 times one is a byte, and any byte to subtract. */
  "anyhow": (rows: number, count: number) =>
    halves(rows, count, (word) => (word >>> 24) % 18 | word & 0xff00),
  /** Scales up to 16 and zeros from 113 to 127, which leave signed bytes. */
  "in bytes": (rows: number, count: number) =>
    halves(rows, count, (word) => (word >>> 24) % 17 | 113 + (word >>> 16 & 0xff) % 15 << 8),
};

type Hosts = Readonly<Record<string, HostTensor>>;

/** A kernel that makes rows from the rows of some inputs, whatever the others are. */
interface RowCase {
  readonly label: string;
  readonly kernel: AnyKernel;
  readonly byRow: Hosts;
  readonly fixed: Hosts;
  readonly options: unknown;
}

/** A sequence in its own pages, and how many of its last tokens are queries. */
interface Sequence {
  readonly keys: number;
  readonly queries: number;
}

interface AttentionCase {
  readonly label: string;
  readonly size: number;
  readonly key: KvScheme;
  readonly value: KvScheme;
  readonly window?: number;
  readonly sinks?: number;
}

const ATTENTION: readonly AttentionCase[] = [
  { label: "KV4, heads of 64", size: 64, key: zeros(4, 64), value: zeros(4, 64) },
  { label: "KV4, heads of 128", size: 128, key: zeros(4, 64), value: zeros(4, 32), window: 50 },
  {
    label: "KV8, heads of 80",
    size: 80,
    key: { bits: 8, zero: "pre_scale", group: 40 },
    value: { bits: 8, zero: "none", group: 80, range: 4 },
    window: 37,
  },
  { label: "KV4, 4 sinks", size: 64, key: zeros(4, 64), value: zeros(4, 64), sinks: 4 },
  {
    label: "KV8, a sink, a window",
    size: 80,
    key: zeros(8, 80),
    value: zeros(4, 40),
    window: 37,
    sinks: 1,
  },
  { label: "f16, heads of 64", size: 64, key: plain(64), value: plain(64) },
  { label: "f16, heads of 128", size: 128, key: plain(128), value: plain(128) },
];

const SEQUENCES: readonly Sequence[] = [
  { keys: 90, queries: 37 },
  { keys: 200, queries: 1 },
  // More keys than a workgroup takes at a time.
  { keys: 600, queries: 3 },
  { keys: 70, queries: 5 },
  { keys: 37, queries: 37 },
];

for (const [on, open] of Object.entries(ENGINES)) {
  for (const [name, cases] of Object.entries(rowCases())) {
    Deno.test(`${name} gives a row the same bits among any number of rows on ${on}`, async () => {
      await using gpu = await open();
      for (const one of cases) await sameRows(gpu, one);
    });
  }

  Deno.test(`attentionPaged gives a sequence the same bits alone and in a batch on ${on}`, async () => {
    await using gpu = await open();
    for (const one of ATTENTION) {
      const pool = pages(one, SEQUENCES);
      const together = await attend(gpu, one, pool, pool.spans);
      for (const [i, span] of pool.spans.entries()) {
        const alone = await attend(gpu, one, pool, [span]);
        assertSameBits(alone[0]!, together[i]!, `${one.label}, ${span.queries} queries`);
      }
    }
  });

  Deno.test(`attentionPaged gives a sequence the same bits in chunks and at once on ${on}`, async () => {
    await using gpu = await open();
    const sizes = [1, 4, 5, 16, 40];
    const all = sizes.reduce((sum, queries) => sum + queries, 0);
    for (const one of ATTENTION) {
      const pool = pages(one, [{ keys: all, queries: all }]);
      const [whole] = await attend(gpu, one, pool, pool.spans);
      const width = whole!.length / all;
      for (const chunks of [sizes, sizes.toReversed()]) {
        let first = 0;
        for (const queries of chunks) {
          const keys = first + queries + leadOf(one.sinks);
          const span = { row: first, queries, keys, table: 0 };
          const [chunk] = await attend(gpu, one, pool, [span]);
          const expected = whole!.subarray(first * width, (first + queries) * width);
          assertSameBits(chunk!, expected, `${one.label}, ${queries} queries from ${first}`);
          first += queries;
        }
      }
    }
  });
}

Deno.test("attentionPaged gives the same bits by one workgroup for all keys and by one for each slice", async () => {
  await using gpu = await Gpu.open();
  const sequences = [1, 255, 256, 257, 600, 1030].map((keys) => ({
    keys,
    queries: Math.min(keys, 3),
  }));
  for (const one of [...ATTENTION, { ...ATTENTION[0]!, label: "a window of 300", window: 300 }]) {
    const pool = pages(one, sequences);
    const shaders: unknown[] = [];
    const planned = (slices: boolean): AnyKernel => ({
      ...attentionPaged,
      plan(inputs, options, limits) {
        const choices = { slices };
        const plan = attentionPaged.plan(inputs as never, options, { ...limits, choices });
        shaders.push(plan.shader);
        return plan;
      },
    });
    const whole = await attend(gpu, one, pool, pool.spans, planned(false));
    const slices = await attend(gpu, one, pool, pool.spans, planned(true));
    assert.deepEqual(shaders, ["split", "slices"]);
    // Of more queries a workgroup makes a tile.
    const longer = { ...pool.spans.at(-1)!, queries: 17, row: 0 };
    const q = f32([17, HEADS, one.size], Array(17 * HEADS * one.size).fill(0.5));
    q.data.set(pool.q.data.slice(-3 * HEADS * one.size), 14 * HEADS * one.size);
    const [tile] = await attend(gpu, one, { ...pool, q }, [longer]);
    assertSameBits(slices.at(-1)!, tile!.slice(14 * HEADS * one.size) as Float32Array, one.label);
    for (const [i, got] of slices.entries()) {
      assertSameBits(got, whole[i]!, `${one.label}, ${sequences[i]!.keys} keys`);
    }
  }
});

Deno.test("attentionPaged gives the same bits whatever workgroup memory a graphics processor has", async () => {
  await using gpu = await Gpu.open();
  const one = ATTENTION[1]!;
  const pool = pages(one, SEQUENCES.slice(0, 2));
  const made: (readonly [keys: unknown, y: Float32Array[]])[] = [];
  for (const groupBytes of [32768, 18432, 16384]) {
    let keys: unknown;
    const kernel: AnyKernel = {
      ...attentionPaged,
      plan(inputs, options, limits) {
        const plan = attentionPaged.plan(inputs as never, options, { ...limits, groupBytes });
        keys = plan.constants.KEYS;
        return plan;
      },
    };
    const y = await attend(gpu, one, pool, pool.spans, kernel);
    made.push([keys, y]);
  }
  assert.deepEqual(made.map(([keys]) => keys), [32, 16, 8]);
  for (const [keys, y] of made) {
    for (const [i, got] of y.entries()) {
      assertSameBits(got, made[0]![1][i]!, `sequence ${i}, ${keys} keys staged`);
    }
  }
});

function rowCases(): Record<string, RowCase[]> {
  const codes = (["none", "pre_scale", "post_scale"] as const).flatMap((zero) =>
    ([4, 8] as const).map((bits) => ({ zero, bits }))
  );
  const integers = [
    { bits: 8 },
    { bits: 4 },
    { bits: 4, grouped: "anyhow" },
    { bits: 4, grouped: "in bytes" },
  ] as const;
  return {
    matmul: INNERS.map(({ inner }) => ({
      label: `${inner} values`,
      kernel: matmul,
      byRow: { x: random("f32", ALL_ROWS, inner), y: f32([ALL_ROWS, OUTPUTS]) },
      fixed: { weight: random("f16", OUTPUTS, inner), bias: random("f32", OUTPUTS) },
      options: {},
    })),
    matmulCodes: INNERS.flatMap(({ inner, group }) =>
      codes.map(({ zero, bits }) => ({
        label: `${inner} values, ${bits} bits, zero ${zero}`,
        kernel: matmulCodes,
        byRow: { x: random("f32", ALL_ROWS, inner), y: f32([ALL_ROWS, OUTPUTS]) },
        fixed: {
          weight: random("u32", OUTPUTS, inner * bits / 32),
          groups: scalesAndZeros(OUTPUTS, inner / group),
          bias: random("f32", OUTPUTS),
        },
        options: { bits, zero, group },
      }))
    ),
    matmulInt8: BLOCK_INNERS.flatMap(({ inner, group }) =>
      integers.map(({ bits, ...rest }) => ({
        label: `${inner} values, ${bits} bits${
          "grouped" in rest ? ` in groups, ${rest.grouped}` : ""
        }`,
        kernel: matmulInt8,
        byRow: {
          x: random("u32", ALL_ROWS, inner / 4),
          x_rows: random("f32", ALL_ROWS, 2),
          y: f32([ALL_ROWS, OUTPUTS]),
        },
        fixed: {
          weight: random("u32", OUTPUTS, inner * bits / 32),
          w_rows: random("f32", OUTPUTS, 2),
          bias: random("f32", OUTPUTS),
          ...("grouped" in rest ? { groups: GROUPS[rest.grouped](OUTPUTS, inner / group) } : {}),
        },
        options: { bits, ...("grouped" in rest ? { group } : {}) },
      }))
    ),
    matmulGroups: BLOCK_INNERS.map(({ inner, group }) => ({
      label: `${inner} values in groups of ${group}`,
      kernel: matmulGroups,
      byRow: {
        x: random("u32", ALL_ROWS, inner / 4),
        x_groups: f32(
          [ALL_ROWS, 2 * inner / group],
          Float32Array.from({ length: 2 * ALL_ROWS * inner / group }, (_, i) => i % 23 - 7),
        ),
        y: f32([ALL_ROWS, OUTPUTS]),
      },
      fixed: {
        weight: random("u32", OUTPUTS, (inner + group) / 8),
        w_groups: u32(
          [OUTPUTS, inner / group],
          Uint32Array.from(
            { length: OUTPUTS * inner / group },
            (_, i) => 0x2c00 + 37 * (i % 40) | i % 16 << 16,
          ),
        ),
        bias: random("f32", OUTPUTS),
      },
      options: { group, outliers: true },
    })),
    quantizeGroups: INNERS.map(({ inner, group }) => ({
      label: `${inner} values in groups of ${group}`,
      kernel: quantizeGroups,
      byRow: { x: random("f32", ALL_ROWS, inner) },
      fixed: {},
      options: { group, bits: 4, clip: 0.9, outliers: true },
    })),
    normQuantize: INNERS.map(({ inner }) => ({
      label: `${inner} values`,
      kernel: normQuantize,
      byRow: {
        x: random("f32", ALL_ROWS, inner),
        residual: randomTensor({ dtype: "f32", shape: [ALL_ROWS, inner] }, "residual"),
      },
      fixed: { gain: random("f32", inner) },
      options: { eps: 1e-5 },
    })),
    quantizeRows: INNERS.map(({ inner }) => ({
      label: `${inner} values`,
      kernel: quantizeRows,
      byRow: { x: random("f32", ALL_ROWS, inner) },
      fixed: {},
      options: {},
    })),
  };
}

async function sameRows(gpu: Cpu | Gpu, { label, kernel, byRow, fixed, options }: RowCase) {
  const whole = await launch(gpu, kernel, { ...byRow, ...fixed }, options);
  for (const count of ROWS) {
    const part = Object.fromEntries(
      Object.entries(byRow).map(([name, host]) => [name, rowsFrom(host, ALL_ROWS - count, count)]),
    );
    const made = await launch(gpu, kernel, { ...part, ...fixed }, options);
    for (const [name, got] of Object.entries(made)) {
      const expected = rowsFrom(whole[name]!, ALL_ROWS - count, count);
      assertSameBits(got.data, expected.data, `${label}, ${count} rows, ${name}`);
    }
  }
}

/** What a kernel writes. */
async function launch(gpu: Cpu | Gpu, kernel: AnyKernel, hosts: Hosts, options: unknown) {
  using stack = new DisposableStack();
  const inputs = Object.fromEntries(
    Object.entries(hosts).map(([name, host]) => [name, stack.use(gpu.upload(host))]),
  );
  const outputs = gpu.run(kernel, inputs, options);
  for (const output of Object.values(outputs)) stack.use(output);
  const read: Record<string, HostTensor> = {};
  for (const name of [...kernel.outputs, ...(kernel.mutates ?? [])]) {
    read[name] = await gpu.read((outputs[name] ?? inputs[name])!);
  }
  return read;
}

/** What each span's queries get. */
async function attend(
  gpu: Cpu | Gpu,
  { size, key, value, window, sinks }: AttentionCase,
  { k, v, q, block_table }: Pages,
  spans: readonly AttentionSpan[],
  kernel: AnyKernel = attentionPaged,
): Promise<Float32Array[]> {
  const width = HEADS * size;
  const rows = spans.flatMap(({ row, queries }) => [
    ...q.data.subarray(row * width, (row + queries) * width),
  ]);
  let row = 0;
  const placed = spans.map((span) => {
    row += span.queries;
    return { ...span, row: row - span.queries };
  });
  const { y } = await launch(
    gpu,
    kernel,
    { q: f32([row, HEADS, size], rows), k, v, block_table, ...attentionBatch(placed) },
    {
      kvHeads: 1,
      key,
      value,
      sinks,
      queries: Math.max(...spans.map(({ queries }) => queries)),
      ...(window === undefined ? {} : { window }),
    },
  );
  return placed.map(({ row, queries }) =>
    y!.data.subarray(row * width, (row + queries) * width) as Float32Array
  );
}

const HEADS = 2;

interface Pages {
  readonly q: HostTensor;
  readonly k: HostTensor;
  readonly v: HostTensor;
  readonly block_table: HostTensor;
  readonly spans: readonly AttentionSpan[];
}

/** Keys and values of some sequences in one pool, backwards, with queries for them. */
function pages({ size, key, value, sinks }: AttentionCase, sequences: readonly Sequence[]): Pages {
  const counts = sequences.map(({ keys }) => pagesFor(keys, sinks));
  const count = counts.reduce((sum, pages) => sum + pages, 0);
  let [row, table] = [0, 0];
  const spans = sequences.map(({ keys, queries }, i) => {
    row += queries;
    table += counts[i]!;
    const places = keys + leadOf(sinks);
    return { row: row - queries, queries, keys: places, table: table - counts[i]! };
  });
  const firsts = spans.map(({ table }) => count - 1 - table);
  return {
    q: random("f32", row, HEADS, size),
    k: pool(key, { count, size, firsts, sinks, seed: "keys" }),
    v: pool(value, { count, size, firsts, sinks, seed: "values" }),
    block_table: u32([count], Array.from({ length: count }, (_, i) => count - 1 - i)),
    spans,
  };
}

function pool(
  scheme: KvScheme,
  { count, size, firsts, sinks = 0, seed }: {
    readonly count: number;
    readonly size: number;
    /** Pages that begin sequences. */
    readonly firsts: readonly number[];
    readonly sinks: number | undefined;
    readonly seed: string;
  },
): HostTensor {
  const shape = [count, pageWords(scheme, 1, size)];
  const data = new Uint32Array(elements(shape));
  const source = normals(seed);
  const write = (slot: number) => {
    const values = Float32Array.from({ length: size }, () => source.next().value);
    writeSlot(data, slot, values, { scheme, kvHeads: 1, headSize: size });
  };
  for (let slot = 0; slot < count * PAGE_TOKENS; slot++) write(slot);
  for (const page of firsts) {
    for (let token = 0; token < sinks; token++) write(slotOf([page], token, sinks));
  }
  return u32(shape, data);
}

function zeros(bits: 4 | 8, group: number): KvScheme {
  return { bits, zero: "post_scale", group };
}

function plain(group: number): KvScheme {
  return { bits: 16, zero: "none", group };
}

function random(dtype: "f32" | "f16" | "u32", ...shape: number[]): HostTensor {
  return randomTensor({ dtype, shape }, `${dtype} ${shape}`);
}

/** Scales from 1/64 to 2/64 and zero points below 16, as f16. */
function scalesAndZeros(rows: number, count: number): HostTensor {
  const source = words("groups");
  const halves = Float16Array.from(
    { length: 2 * rows * count },
    (_, i) =>
      source.next().value / 2 ** 32 * (i % 2 === 0 ? 1 : 960) / 64 + (i % 2 === 0 ? 1 / 64 : 0),
  );
  return u32([rows, count], new Uint32Array(halves.buffer));
}

function halves(rows: number, count: number, half: (word: number) => number): HostTensor {
  const width = Math.ceil(count / 2);
  const source = words("bytes");
  const next = () => half(source.next().value);
  return u32([rows, width], Array.from({ length: rows * width }, () => next() + 2 ** 16 * next()));
}

function rowsFrom({ dtype, shape, data }: HostTensor, first: number, count: number): HostTensor {
  const width = elements(shape.slice(1));
  return {
    dtype,
    shape: [count, ...shape.slice(1)],
    data: data.slice(first * width, (first + count) * width),
  };
}

function assertSameBits(got: HostTensor["data"], expected: HostTensor["data"], label: string) {
  const [a, b] = [got, expected].map((data) => new Uint32Array(data.slice().buffer));
  assert.equal(a!.length, b!.length, label);
  const at = a!.findIndex((bits, i) => bits !== b![i]);
  assert.equal(at, -1, `${label}: value ${at} is ${got[at]}, expected ${expected[at]}`);
  assert.ok(a!.some((bits) => bits !== a![0]), `${label}: all values are ${got[0]}`);
}
