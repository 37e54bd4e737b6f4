import type { Device, Inputs, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import { appendKv, attention, attentionPaged, attentionTurned } from "../../kernels/mod.ts";
import type { AttentionOptions } from "../../kernels/attention.ts";
import type { RopeOptions } from "../../kernels/rope.ts";
import { attentionBatch, type AttentionPagedOptions } from "../../kernels/attention_paged.ts";
import { leadOf, pagesFor, pageWords, slotOf } from "../../kernels/codes/kv_page.ts";
import type { DecoderConfig } from "./config.ts";
import type { KvScheme } from "../../kernels/codes/kv_scheme.ts";

/** Precision of keys and values. */
export interface KvSchemes {
  readonly key: KvScheme;
  readonly value: KvScheme;
  /**
   * Whether queries and keys go through the Hadamard transform of a head behind their rotary
   * positions, before keys get codes: `rope` does it, so that pages hold keys of that form.
   */
  readonly rotatedKeys?: true;
  /** What `rope` takes from keys behind their rotary positions, [kv heads * head size]. */
  readonly keyCenter?: readonly number[];
  /** Whether keys get codes before their rotary positions, and are turned whenever they are read. */
  readonly keysBeforeRope?: true;
  /** How codes of keys make up for those before them, as `packedCompensation` writes it. */
  readonly keyCompensation?: string;
  /** First tokens of a sequence whose keys and values stay in half precision; in all layers alike. */
  readonly sinks?: number;
}

/** How a layer attends. */
export interface AttentionForm {
  /** Which keys a query sees, and what becomes of its scores. */
  readonly options: AttentionOptions;
  /** Precision of the KV cache; the tensors themselves where undefined. */
  readonly kv: KvSchemes | undefined;
}

/** How far the queries of a layer look, and what becomes of their scores. */
export function attentionOptions(
  { windows, attentionScale: scale, attentionCap: cap }: Pick<
    DecoderConfig,
    "windows" | "attentionScale" | "attentionCap"
  >,
  layer: number,
): AttentionOptions {
  const window = windows[layer];
  return { scale, ...window !== undefined && { window }, ...cap !== undefined && { cap } };
}

/** Queries, keys and values of a sequence, f32 [tokens, heads or kv heads, head size]. */
export interface SequenceTensors {
  readonly q: TensorRef;
  readonly k: TensorRef;
  readonly v: TensorRef;
  /** What turns keys when they are read, where they have not been turned. */
  readonly turn?: KeyTurn;
  /** How codes of keys make up for those before them, f32 [kv heads, head size, head size]. */
  readonly compensation?: TensorRef | undefined;
}

/** Angles of all positions, f32 [positions, channels that turn], and how channels pair. */
export interface KeyTurn {
  readonly angles: TensorRef;
  readonly neighbours: boolean;
}

/** Attention over pages, f32 [rows, heads, head size]; `turn` turns keys that have not been turned. */
export function attendPaged(
  device: Device,
  inputs: Inputs<"q" | "k" | "v" | "block_table" | "spans" | "work", never>,
  options: AttentionPagedOptions,
  turn: KeyTurn | undefined,
): Tensor {
  if (!turn) return device.run(attentionPaged, inputs, options).y;
  const { angles, neighbours } = turn;
  return device.run(attentionTurned, { ...inputs, angles }, { ...options, neighbours }).y;
}

/** How a layer attends: queries, keys and values to f32 [tokens, heads * head size]. */
export type Attend = (device: Device, sequence: SequenceTensors, form: AttentionForm) => Tensor;

/** Queries, keys and values side by side, f32 [tokens, heads, head size], and what turns them. */
export interface UnturnedHeads {
  readonly inputs: Inputs<"x" | "positions" | "angles" | "center", "center">;
  readonly options: RopeOptions;
  /** As `SequenceTensors` have it. */
  readonly compensation?: TensorRef | undefined;
}

/** Turns heads, keeps keys and values, and attends: to f32 [tokens, heads * head size]. */
export type TurnAndAttend = (device: Device, heads: UnturnedHeads, form: AttentionForm) => Tensor;

/**
 * Causal attention over a whole sequence, f32 [tokens, heads * head size]. Where the cache is
 * quantized, keys and values go into pages first and every query reads their codes.
 */
export function attend(
  device: Device,
  sequence: SequenceTensors,
  { options, kv }: AttentionForm,
): Tensor {
  return flat(
    kv ? attendPages(device, sequence, kv, options) : device.run(attention, sequence, options).y,
  );
}

function attendPages(
  device: Device,
  { q, k, v, turn, compensation }: SequenceTensors,
  { key, value, sinks }: KvSchemes,
  form: AttentionOptions,
): Tensor {
  const [tokens = 0, kvHeads = 0, headSize = 0] = k.shape;
  const pages = pagesFor(tokens, sinks);
  const table = Array.from({ length: pages }, (_, i) => i);
  const places = Array.from({ length: tokens }, (_, i) => slotOf(table, i, sinks));
  using slots = device.upload(u32([tokens], places));
  using block_table = device.upload(u32([pages], table));
  const keys = tokens + leadOf(sinks);
  const batch = attentionBatch([{ row: 0, queries: tokens, keys, table: 0 }]);
  using spans = device.upload(batch.spans);
  using work = device.upload(batch.work);
  const pool = (scheme: KvScheme) => {
    const shape = [pages, pageWords(scheme, kvHeads, headSize)];
    return device.empty({ dtype: "u32", shape }, "KV pages");
  };
  using held = pool(key);
  using values = pool(value);
  const given = { k, v, slots, ...compensation && { compensation }, keys: held, values };
  device.run(appendKv, given, { key, value });
  const options = { queries: tokens, kvHeads, key, value, sinks, ...form };
  const inputs = { q, k: held, v: values, block_table, spans, work };
  return attendPaged(device, inputs, options, turn);
}

/** The same tensor as rows of all heads. */
export function flat(tensor: Tensor): Tensor {
  const [tokens = 0, heads = 0, size = 0] = tensor.shape;
  const view = tensor.view([tokens, heads * size]);
  return Object.assign(view, { [Symbol.dispose]: () => tensor[Symbol.dispose]() });
}
