import { elements } from "../../kernels/device/tensor.ts";
import { PAGE_TOKENS, pageWords } from "../../kernels/codes/kv_page.ts";
import type { KvScheme } from "../../kernels/codes/kv_scheme.ts";
import { type SafetensorsDType, tensorBytes } from "../formats/safetensors/header.ts";
import { weightWords } from "../quant/schemes.ts";
import { codedTensors } from "../quant/stored_weight.ts";
import type { Checkpoint, StoredTensor } from "../formats/checkpoint.ts";
import { openModel } from "./architecture.ts";
import type { DecoderConfig } from "./config.ts";
import type { Architecture, ModelFiles } from "./family.ts";
import { inputWords, type ModelRecord } from "./model_record.ts";
import { codedHead } from "./packed_head.ts";
import type { LinearOutline } from "./site.ts";

/** Sizes of a model, known from its headers alone. */
export interface Sizes {
  readonly parameters: number;
  readonly bytes: number;
}

/** Sizes and errors of a model artifact, from its headers and its record alone. */
export interface ModelFacts extends Sizes {
  /** Bits a weight of the layers' linears takes, with scales and zeros. */
  readonly bitsPerWeight: number;
  readonly kvBytesPerToken: number;
  /** Precision of weights, activations and KV cache, such as `W4 g128 post-scale A8 per token KV4`. */
  readonly scheme: string;
  /** Per layer, the mean relative squared output error of its linears; weights where not measured. */
  readonly layers: readonly { readonly layer: number; readonly error: number }[];
  /** Per layer, the relative squared error of the attention output that the KV cache makes. */
  readonly kvErrors: readonly number[];
}

/** Describes a model artifact without reading its weights. */
export async function describeModel(path: string): Promise<ModelFacts> {
  using files = await openModel(path);
  const { checkpoint, record, architecture } = files;
  const { linears } = architecture;
  const values = linears.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  return {
    ...sizesOf(checkpoint, architecture),
    bitsPerWeight: 8 * weightBytes(checkpoint, { record, linears }) / values,
    kvBytesPerToken: kvBytes(architecture.config, record),
    scheme: schemeOf(files),
    layers: layerErrors(architecture, record),
    kvErrors: record.measured.kv,
  };
}

/** Precision of weights, activations, KV cache and a head in codes, in words. */
export function schemeOf({ architecture, record }: Pick<ModelFiles, "architecture" | "record">) {
  return `${schemeWords(architecture.linears, record)}${headWords({ architecture, record })}`;
}

/** The sizes of a model's weights as they are stored. */
export function sizesOf(
  { tensors: stored }: Pick<Checkpoint, "tensors">,
  { tensors }: Pick<Architecture, "tensors">,
): Sizes {
  let parameters = 0;
  for (const shape of tensors.values()) parameters += elements(shape);
  return { parameters, bytes: bytesOf(stored.values()) };
}

/** Bytes of a model's head as they are stored. */
export function headBytes({ checkpoint, record, architecture: { head } }: ModelFiles): number {
  return weightBytes(checkpoint, { record, linears: head.linears });
}

function weightBytes(
  { tensors }: Pick<Checkpoint, "tensors">,
  { record, linears }: {
    readonly record: ModelRecord;
    readonly linears: readonly LinearOutline[];
  },
): number {
  return bytesOf(linears.flatMap((linear) => {
    const scheme = record.linears[linear.name]?.weights;
    const names = scheme ? codedTensors(linear, scheme).map(({ name }) => name) : [linear.weight];
    return names.flatMap((name) => tensors.get(name) ?? []);
  }));
}

function bytesOf(stored: Iterable<Pick<StoredTensor, "dtype" | "shape">>): number {
  let bytes = 0;
  for (const { dtype, shape } of stored) {
    bytes += tensorBytes({ dtype: dtype as SafetensorsDType, shape });
  }
  return bytes;
}

/** Bytes that a token's keys and values take in all layers; f16 where they are not quantized. */
function kvBytes({ layers, kvHeads, headSize }: DecoderConfig, { kv }: ModelRecord): number {
  const of = (scheme: KvScheme) => 4 * pageWords(scheme, kvHeads, headSize) / PAGE_TOKENS;
  if (kv.length > 0) return kv.reduce((sum, { key, value }) => sum + of(key) + of(value), 0);
  return layers * 2 * 2 * kvHeads * headSize;
}

function schemeWords(
  outlines: Architecture["linears"],
  { linears, kv }: ModelRecord,
): string {
  const schemes = outlines.map(({ name }) => {
    const scheme = linears[name];
    return scheme ? `${weightWords(scheme.weights)} ${inputWords(scheme.inputs)}` : "W16 A16";
  });
  const widths = kv.flatMap(({ key, value }) => [key.bits, value.bits]);
  const cache = widths.length > 0 ? [...new Set(widths)].sort().join("/") : "16";
  return `${mostCommon(schemes)} KV${cache}`;
}

/** The precision of a head in codes, behind that of all else. */
function headWords(model: Parameters<typeof codedHead>[0]): string {
  const scheme = codedHead(model)?.scheme;
  return scheme ? `, head ${weightWords(scheme.weights)} ${inputWords(scheme.inputs)}` : "";
}

/** The commonest of some words, with a mark where there are others. */
function mostCommon(words: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  const [[first = ""] = []] = [...counts].sort(([, a], [, b]) => b - a);
  return counts.size > 1 ? `${first} (mixed)` : first;
}

function layerErrors(
  { layers }: Architecture,
  { measured }: ModelRecord,
): { readonly layer: number; readonly error: number }[] {
  return layers.map(({ index: layer, linears }) => {
    const facts = linears.flatMap(({ name }) => measured.linears[name] ?? []);
    const errors = facts.map(({ outputError, weightError }) => outputError ?? weightError);
    return { layer, error: errors.reduce((sum, error) => sum + error, 0) / errors.length };
  }).filter(({ error }) => !Number.isNaN(error));
}
