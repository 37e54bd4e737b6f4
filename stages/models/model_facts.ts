import { elements } from "../../kernels/device/tensor.ts";
import { PAGE_TOKENS, pageWords } from "../../kernels/codes/kv_page.ts";
import type { KvScheme } from "../../kernels/codes/kv_scheme.ts";
import { openCheckpoint } from "../formats/open_checkpoint.ts";
import { type SafetensorsDType, tensorBytes } from "../formats/safetensors/header.ts";
import { weightWords } from "../quant/schemes.ts";
import type { DecoderConfig } from "./family.ts";
import { findFamily } from "./families/find_family.ts";
import { inputWords, type ModelRecord, readModelRecord } from "./model_record.ts";
import { linearName, LINEARS } from "./names.ts";

/** Sizes and errors of a model artifact, from its headers and its record alone. */
export interface ModelFacts {
  readonly parameters: number;
  readonly bytes: number;
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
  const record = await readModelRecord(path);
  using checkpoint = await openCheckpoint(path);
  const config = findFamily(checkpoint.config).config(checkpoint.config);
  let [bytes, parameters, linearBytes, linearParameters] = [0, 0, 0, 0];
  const linears = new Set(linearNames(config));
  for (const { name, dtype, shape } of checkpoint.tensors.values()) {
    const size = tensorBytes({ dtype: dtype as SafetensorsDType, shape });
    const count = parametersOf(name, shape, record);
    const [, linear = "", part] = /^(.*)\.(\w+)$/.exec(name) ?? [];
    const weight = linears.has(linear) && part !== "bias";
    bytes += size;
    parameters += count;
    if (weight) linearBytes += size;
    if (weight) linearParameters += count;
  }
  return {
    parameters,
    bytes,
    bitsPerWeight: 8 * linearBytes / linearParameters,
    kvBytesPerToken: kvBytes(config, record),
    scheme: schemeWords(config, record),
    layers: layerErrors(config, record),
    kvErrors: record.measured.kv,
  };
}

/** Numbers that a stored tensor stands for: codes count, their scales and zeros do not. */
export function parametersOf(
  name: string,
  shape: readonly number[],
  { linears }: Pick<ModelRecord, "linears">,
): number {
  const count = elements(shape);
  const [, linear = "", part] = /^(.*)\.(\w+)$/.exec(name) ?? [];
  const scheme = linears[linear]?.weights;
  if (scheme === undefined || part === "bias") return count;
  return part === "codes" ? count * (scheme.bits <= 4 ? 8 : 4) : 0;
}

function linearNames({ layers }: DecoderConfig): string[] {
  return Array.from(
    { length: layers },
    (_, layer) => LINEARS.map((role) => linearName(layer, role)),
  ).flat();
}

/** Bytes that a token's keys and values take in all layers; f16 where they are not quantized. */
function kvBytes({ layers, kvHeads, headSize }: DecoderConfig, { kv }: ModelRecord): number {
  const of = (scheme: KvScheme) => 4 * pageWords(scheme, kvHeads, headSize) / PAGE_TOKENS;
  if (kv.length > 0) return kv.reduce((sum, { key, value }) => sum + of(key) + of(value), 0);
  return layers * 2 * 2 * kvHeads * headSize;
}

function schemeWords(config: DecoderConfig, { linears, kv }: ModelRecord): string {
  const schemes = linearNames(config).map((name) => {
    const scheme = linears[name];
    return scheme ? `${weightWords(scheme.weights)} ${inputWords(scheme.inputs)}` : "W16 A16";
  });
  const widths = kv.flatMap(({ key, value }) => [key.bits, value.bits]);
  const cache = widths.length > 0 ? [...new Set(widths)].sort().join("/") : "16";
  return `${mostCommon(schemes)} KV${cache}`;
}

/** The commonest of some words, with a mark where there are others. */
function mostCommon(words: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  const [[first = ""] = []] = [...counts].sort(([, a], [, b]) => b - a);
  return counts.size > 1 ? `${first} (mixed)` : first;
}

function layerErrors(
  { layers }: DecoderConfig,
  { measured }: ModelRecord,
): { readonly layer: number; readonly error: number }[] {
  return Array.from({ length: layers }, (_, layer) => {
    const facts = LINEARS.flatMap((role) => measured.linears[linearName(layer, role)] ?? []);
    const errors = facts.map(({ outputError, weightError }) => outputError ?? weightError);
    return { layer, error: errors.reduce((sum, error) => sum + error, 0) / errors.length };
  }).filter(({ error }) => !Number.isNaN(error));
}
