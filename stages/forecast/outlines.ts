import type { StatsRecord } from "../calibration/stats.ts";
import type { StoredTensor, TokenizerFiles } from "../formats/checkpoint.ts";
import {
  layOutTensors,
  tensorBytes,
  type TensorSpecification,
} from "../formats/safetensors/header.ts";
import type { ModelRecord } from "../models/model_record.ts";
import { sumOf } from "../models/peaks.ts";

/** Facts of a model: what its headers tell. */
export interface ModelOutline {
  /** `config.json`. */
  readonly config: unknown;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly record: ModelRecord;
  /** Bytes of the files beside weights, record and lineage. */
  readonly textBytes: number;
  /** Bytes of each file of the record's lineage. */
  readonly lineageBytes: readonly number[];
  /** What makes its tokenizer, or the place of the checkpoint that has it. */
  readonly tokenizer: TokenizerFiles | string | undefined;
}

/** Facts of tokens. */
export interface TokensOutline {
  readonly count: number;
}

/** Facts of statistics. */
export type StatsOutline = Pick<
  StatsRecord,
  "windows" | "context" | "rows" | "attentionWindows" | "gram"
>;

/** Facts of a report: how many layers it has errors of, for the plots of those that compare it. */
export interface ReportOutline {
  readonly layers: number;
  readonly kvLayers: number;
}

/** Tensors by name, in a file that is not written yet. */
export function plannedTensors(
  specifications: readonly TensorSpecification[],
): ReadonlyMap<string, StoredTensor> {
  return new Map(specifications.map((each) => [each.name, { ...each, file: "none yet" }]));
}

/** Bytes of the files of a model. */
export function modelBytes({ tensors, record, textBytes, lineageBytes }: ModelOutline): number {
  const weights = safetensorsBytes([...tensors.values()] as TensorSpecification[]);
  // A model as it was loaded has no record.
  const said = record.history.length > 0 ? jsonBytes(record) + 1 : 0;
  return weights + textBytes + said + sumOf(lineageBytes);
}

/** Bytes of objects that a checkpoint's texts become when it is opened: most are its tokenizer's. */
export function parsedBytes({ textBytes }: Pick<ModelOutline, "textBytes">): number {
  return 16 * textBytes;
}

/** Bytes of a safetensors file with these tensors; of several, but for their index. */
export function safetensorsBytes(tensors: readonly TensorSpecification[]): number {
  return layOutTensors(tensors).header.length + sumOf(tensors.map(tensorBytes));
}

/** Bytes of a value as indented JSON. */
export function jsonBytes(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value, undefined, 2)).length;
}
