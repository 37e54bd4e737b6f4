import type { Forecast } from "../../pipeline/stage.ts";
import { elements } from "../../kernels/device/tensor.ts";
import {
  type SafetensorsDType,
  tensorBytes,
  type TensorSpecification,
} from "../formats/safetensors/header.ts";
import type { ModelRecord } from "../models/model_record.ts";
import { hostPeak } from "../models/peaks.ts";
import { modelBytes, type ModelOutline, parsedBytes, safetensorsBytes } from "./outlines.ts";

/** Values read and written at once where no more are needed. */
const PIECE_VALUES = 2 ** 24;

/** Stands for a digest that is not known yet. */
export const SOME_DIGEST = "0".repeat(64);
/** Stands for a figure that is not measured yet: with as many digits as most of them. */
export const SOME_FIGURE = 0.012345678901234568;

/** What a stage makes of a model's weights. */
export interface RewriteOutline {
  readonly record: ModelRecord;
  /** How a tensor changes: some rows at a time, or all at once. */
  edit(name: string): "rows" | "whole" | undefined;
  /** Bytes of arrays for a value of a tensor that changes whole, beside itself as read and kept. */
  readonly scratch?: number;
  /** `config.json` of the new model; the old one unless said. */
  readonly config?: unknown;
  /** Tensors that the model lacked: name and the one they are copies of. */
  readonly added?: ReadonlyMap<string, string>;
  /** Sizes of changes to channels, by tap and what; none where the lineage ends. */
  readonly changes?: ReadonlyMap<string, number>;
  /** Bytes of a file beside the model. */
  readonly besideBytes?: number;
}

/** What rewriting a model takes: its largest piece as read, widened and as kept. */
export function forecastRewrite(model: ModelOutline, rewrite: RewriteOutline): Forecast {
  const { added = new Map<string, string>(), changes, besideBytes = 0 } = rewrite;
  const tensors = new Map(model.tensors);
  for (const [name, source] of added) {
    const found = tensors.get(source);
    if (found) tensors.set(name, { ...found, name });
  }
  const facts: ModelOutline = {
    ...model,
    config: rewrite.config ?? model.config,
    tensors,
    record: rewrite.record,
    lineageBytes: changes ? [...model.lineageBytes, changesBytes(changes)] : [],
  };
  const pieces = [...tensors.values()].map(({ name, dtype, shape }) => {
    const edit = rewrite.edit(name);
    const all = elements(shape);
    const values = edit === "whole" ? all : Math.min(PIECE_VALUES, all);
    const stored = tensorBytes({ dtype: dtype as SafetensorsDType, shape }) / all;
    const changed = edit ? 4 + stored + (edit === "whole" ? rewrite.scratch ?? 0 : 0) : 0;
    return values * (stored + changed);
  });
  const arrays = pieces.reduce((a, b) => Math.max(a, b), 0);
  const diskBytes = modelBytes(facts) + besideBytes;
  // The journal has the changes, and the factors of weights in double precision.
  const workBytes = changes ? 6 * changesBytes(changes) : 0;
  const hostBytes = hostPeak({ arrays }) + parsedBytes(model);
  return { deviceBytes: 0, hostBytes, diskBytes, workBytes, facts };
}

/** Bytes of a file of channel changes. */
function changesBytes(changes: ReadonlyMap<string, number>): number {
  const tensors = [...changes].map(([name, size]): TensorSpecification => {
    return { name, dtype: "F32", shape: [size] };
  });
  return safetensorsBytes(tensors);
}

/** The record with one more stage that changed channels, and so one more step of lineage. */
export function changedRecord(record: ModelRecord, stage: string, params: unknown): ModelRecord {
  const file = `channels-${record.lineage.length}.safetensors`;
  return {
    ...record,
    history: [...record.history, { stage, params }],
    lineage: [...record.lineage, { from: SOME_DIGEST, file }],
  };
}
