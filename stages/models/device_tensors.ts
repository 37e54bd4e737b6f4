import { wordCodes } from "../../kernels/codes/integer_codes.ts";
import { PAGE_TOKENS, pageWords } from "../../kernels/codes/kv_page.ts";
import { elements } from "../../kernels/device/tensor.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { type SafetensorsDType, tensorBytes } from "../formats/safetensors/header.ts";
import { hadamardFactor } from "../quant/hadamard.ts";
import { groupColumns, type LinearScheme, schemeKind } from "../quant/schemes.ts";
import type { Architecture } from "./family.ts";
import type { ModelRecord } from "./model_record.ts";

/** A model's headers: enough to say which tensors it brings onto a device. */
export interface ModelHeaders extends Pick<Checkpoint, "tensors"> {
  readonly architecture: Architecture;
  readonly record: ModelRecord;
}

/** Most bytes of a weight in one tensor. */
const PART_BYTES = 2 ** 26;

/** Bytes of the tensors that a matrix becomes on the device. */
export function weightTensors({ tensors }: Pick<Checkpoint, "tensors">, name: string): number[] {
  const stored = tensors.get(name);
  if (!stored) return [];
  const bytes = tensorBytes({ dtype: stored.dtype as SafetensorsDType, shape: stored.shape });
  return parts(stored.shape[0] ?? 1, bytes / (stored.shape[0] ?? 1));
}

/** Bytes of the tensors of a layer's weights on the device. */
export function layerTensors(model: ModelHeaders, layer: number): number[] {
  const { architecture, record, tensors } = model;
  const { sites, taps, linears: all } = architecture.layers[layer]!;
  const vector = (name: string) => 4 * elements(tensors.get(name)?.shape ?? [0]);
  const linears = all.flatMap(({ name, weight, bias }) => {
    const scheme = record.linears[name];
    const tensors = scheme ? packedTensors(model, name, scheme) : weightTensors(model, weight);
    return [...tensors, ...bias === undefined ? [] : [vector(bias)]];
  });
  const factors = sites.filter(({ role }) => record.hadamard.includes(role)).map(({ channels }) =>
    4 * hadamardFactor(channels).order ** 2
  );
  const gains = [...sites, ...Object.values(taps)].filter(({ fedBy }) => fedBy.kind === "norm")
    .map(({ fedBy }) => vector(fedBy.weight));
  return [...linears, ...factors, ...gains];
}

/** Bytes of the tensors that a layer makes of a window of tokens; its last one joins the stream. */
export function workTensors(
  { architecture, record }: Pick<ModelHeaders, "architecture" | "record">,
  layer: number,
  tokens: number,
): number[] {
  const { hidden, inner, heads, kvHeads, headSize } = architecture.config;
  const inputs = architecture.layers[layer]!.sites.flatMap(({ role, channels, linears }) => {
    const coded = linears.some(({ name }) => record.linears[name]?.inputs);
    const quantized = coded ? [tokens * channels, 8 * tokens] : [];
    return [...record.hadamard.includes(role) ? [4 * tokens * channels] : [], ...quantized];
  });
  const pages = Math.ceil(tokens / PAGE_TOKENS);
  const { key, value } = record.kv[layer] ?? {};
  const cache = [key, value].map((scheme) =>
    scheme ? 4 * pages * pageWords(scheme, kvHeads, headSize) : 0
  );
  const widths = [
    ...[hidden, hidden, hidden],
    ...[heads * headSize, heads * headSize, kvHeads * headSize, kvHeads * headSize],
    ...[inner, inner, inner],
  ];
  return [...widths.map((width) => 4 * tokens * width), ...inputs, ...cache];
}

function packedTensors(
  { tensors }: ModelHeaders,
  name: string,
  { weights, inputs }: LinearScheme,
): number[] {
  const [rows = 1, words = 0] = tensors.get(`${name}.codes`)?.shape ?? [];
  const columns = words * wordCodes(weights.bits);
  const groups = columns / groupColumns(weights, columns);
  const nested = schemeKind(weights) === "two_level";
  return [
    ...parts(rows, 4 * words),
    ...inputs ? parts(rows, 8) : [],
    ...nested || !inputs ? parts(rows, 4 * (nested ? Math.ceil(groups / 2) : groups)) : [],
  ];
}

function parts(rows: number, rowBytes: number): number[] {
  const step = Math.max(1, Math.floor(PART_BYTES / rowBytes));
  return Array.from(
    { length: Math.ceil(rows / step) },
    (_, i) => rowBytes * Math.min(step, rows - i * step),
  );
}
