import { attentionBatch } from "../../kernels/attention_paged.ts";
import {
  leadOf,
  PAGE_TOKENS,
  pagesFor,
  pageWords,
  slotOf,
  tokensIn,
} from "../../kernels/codes/kv_page.ts";
import type { KvScheme } from "../../kernels/codes/kv_scheme.ts";
import type { Device, HostTensor, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import { appendKv, attention, embed } from "../../kernels/mod.ts";
import {
  type Attend,
  attendPaged,
  type AttentionForm,
  flat,
  type KvSchemes,
  type SequenceTensors,
} from "../models/attend.ts";
import type { PrefixTree } from "./prefix_tree.ts";

/** Attention of sequences that share their beginnings: a row attends to those of its path. */
export interface TreeAttention extends Disposable {
  readonly attend: Attend;
}

/**
 * Lays a tree out for attention, in all layers alike. Where the cache is quantized, keys and values go
 * into pages and every row reads their codes: full pages are shared along a path, what follows is
 * written once for each run. Else each run attends to the values themselves.
 */
export function openTreeAttention(device: Device, tree: PrefixTree): TreeAttention {
  const owned = new DisposableStack();
  const upload = (host: HostTensor) => owned.use(device.upload(host));
  let paged: ReturnType<typeof layPages> | undefined;
  let plain: ReturnType<typeof layRuns> | undefined;
  return {
    attend: (device, sequence, form) => {
      const { kv } = form;
      if (!kv) return attendRuns(device, sequence, { form, ...plain ??= layRuns(tree, upload) });
      const laid = paged ??= layPages(tree, upload, kv.sinks);
      return attendPages(device, sequence, { kv, options: form.options, ...laid });
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

type Upload = (host: HostTensor) => TensorRef;

function list(values: readonly number[]): HostTensor {
  return u32([values.length], values);
}

/** Which rows each run asks with, and which it sees. */
function layRuns({ ids, runs }: PrefixTree, upload: Upload) {
  const alone = runs.length === 1;
  return {
    rows: alone ? undefined : upload(list([...ids.keys()])),
    runs: runs.map(({ start, count, path }) => ({
      start,
      asked: alone ? undefined : upload(list(path.slice(-count))),
      seen: alone ? undefined : upload(list(path)),
    })),
  };
}

function attendRuns(
  device: Device,
  { q, k, v }: SequenceTensors,
  { form: { options }, rows, runs }: ReturnType<typeof layRuns> & { readonly form: AttentionForm },
): Tensor {
  if (!rows) return flat(device.run(attention, { q, k, v }, options).y);
  const [tokens = 0, heads = 0, size = 0] = q.shape;
  const y = device.empty({ dtype: "f32", shape: [tokens, heads * size] });
  for (const run of runs) {
    using asked = taken(device, q, run.asked!);
    using keys = taken(device, k, run.seen!);
    using values = taken(device, v, run.seen!);
    const inputs = { q: byHead(asked, q), k: byHead(keys, k), v: byHead(values, v) };
    using mixed = device.run(attention, inputs, options).y;
    const embeddings = mixed.view([mixed.shape[0]!, heads * size]);
    device.run(embed, { tokens: rows, embeddings, y }, { first: run.start });
  }
  return y;
}

/** Pages of each run, and what is written to them. */
function layPages({ ids, runs }: PrefixTree, upload: Upload, sinks: number | undefined) {
  const pagesOf = new Map<number, readonly number[]>();
  const [written, slots, table]: [number[], number[], number[]] = [[], [], []];
  let pages = 0;
  const spans = runs.map(({ start, count, path }) => {
    // The run that this one follows ends with the row before its own ones.
    const before = path.length > count ? pagesOf.get(path[path.length - count - 1]!)! : [];
    const shared = Math.floor((path.length - count + leadOf(sinks)) / PAGE_TOKENS);
    const own = [...before.slice(0, shared)];
    while (own.length < pagesFor(path.length, sinks)) own.push(pages++);
    for (let at = tokensIn(shared, sinks); at < path.length; at++) {
      written.push(path[at]!);
      slots.push(slotOf(own, at, sinks));
    }
    pagesOf.set(path.at(-1)!, own);
    table.push(...own);
    const keys = path.length + leadOf(sinks);
    return { row: start, queries: count, keys, table: table.length - own.length };
  });
  const batch = attentionBatch(spans);
  const inOrder = written.length === ids.length && written.every((row, at) => row === at);
  return {
    pages,
    written: inOrder ? undefined : upload(list(written)),
    slots: upload(list(slots)),
    block_table: upload(list(table)),
    spans: upload(batch.spans),
    work: upload(batch.work),
    queries: runs.reduce((most, { count }) => Math.max(most, count), 0),
    keys: spans.reduce((most, { keys }) => Math.max(most, keys), 0),
  };
}

function attendPages(
  device: Device,
  { q, k, v, turn, compensation }: SequenceTensors,
  { kv: { key, value, sinks }, options: form, pages, written, slots, queries, keys, ...where }:
    & ReturnType<typeof layPages>
    & { readonly kv: KvSchemes; readonly options: AttentionForm["options"] },
): Tensor {
  const [, kvHeads = 0, headSize = 0] = k.shape;
  const pool = (scheme: KvScheme) => {
    const shape = [pages, pageWords(scheme, kvHeads, headSize)];
    return device.empty({ dtype: "u32", shape }, "KV pages");
  };
  using held = pool(key);
  using values = pool(value);
  {
    using stack = new DisposableStack();
    const all = (rows: TensorRef) =>
      written ? byHead(stack.use(taken(device, rows, written)), rows) : rows;
    const given = {
      k: all(k),
      v: all(v),
      slots,
      ...compensation && { compensation },
      keys: held,
      values,
    };
    device.run(appendKv, given, { key, value });
  }
  const options = { kvHeads, key, value, sinks, queries, keys, ...form };
  return flat(attendPaged(device, { q, k: held, v: values, ...where }, options, turn));
}

/** Some rows of a tensor, f32 [rows, heads * head size]. */
function taken(device: Device, from: TensorRef, rows: TensorRef): Tensor {
  const [count = 0, heads = 0, size = 0] = from.shape;
  const y = device.empty({ dtype: "f32", shape: [rows.shape[0]!, heads * size] });
  const embeddings = from.view([count, heads * size]);
  device.run(embed, { tokens: rows, embeddings, y }, {});
  return y;
}

/** Rows as heads, like those they were taken from. */
function byHead(rows: Tensor, { shape: [, heads = 0, size = 0] }: TensorRef): TensorRef {
  return rows.view([rows.shape[0]!, heads, size]);
}
