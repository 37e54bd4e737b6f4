import { elements } from "../../kernels/device/tensor.ts";
import { type Checkpoint, type RowRange, writeCheckpointTexts } from "../formats/checkpoint.ts";
import { openCheckpoint } from "./open_checkpoint.ts";
import { createCheckpointWriter } from "../formats/checkpoint_writer.ts";
import { assertFinite, rowPieces } from "../formats/rows.ts";
import { storedBytes } from "../formats/half.ts";
import { release } from "../../kernels/device/release.ts";
import {
  type SafetensorsDType,
  tensorBytes,
  type TensorSpecification,
} from "../formats/safetensors/header.ts";
import { MODEL_RECORD, type ModelRecord, writeModelRecord } from "./model_record.ts";

/** Rows of a tensor being rewritten. */
export interface Piece {
  readonly values: Float32Array<ArrayBuffer>;
  /** Where the rows stand in the tensor; a vector is a row of its own for each value. */
  readonly rows: RowRange;
  /** Values in a row; 1 for a vector. */
  readonly columns: number;
}

/** How one tensor changes; the shape stays. */
export interface TensorEdit {
  /** Whether `change` needs all rows at once; else it gets some rows at a time. */
  readonly whole?: boolean;
  /** Changes `values` in place, at once or while it is waited for. */
  change(piece: Piece): void | Promise<void>;
}

/** How a model is rewritten. */
export interface Rewrite {
  /** The change of a tensor of the new model, if it changes. */
  edit(name: string): TensorEdit | undefined;
  /** Tensors that the old model lacks: name and the old tensor whose values they start from. */
  readonly added?: ReadonlyMap<string, string>;
  /** `config.json` of the new model; the old one unless said. */
  readonly config?: unknown;
  readonly record: ModelRecord;
  readonly signal: AbortSignal;
  progress(done: number, total: number, note: string): void;
}

/**
 * Writes a model like the one in `from` with some tensors changed, a piece of a tensor at a time.
 *
 * Element types stay as they are. Files that the record's lineage names must be written by the
 * caller. Throws where a change leaves NaN, infinity or more than half precision holds.
 */
export async function rewriteModel(from: string, out: string, rewrite: Rewrite): Promise<void> {
  using checkpoint = await openCheckpoint(from);
  const sources = new Map<string, string>([
    ...[...checkpoint.tensors.keys()].map((name) => [name, name] as const),
    ...rewrite.added ?? [],
  ]);
  const specifications = [...sources].map(([name, source]) => {
    const { dtype, shape } = checkpoint.tensors.get(source)!;
    return { name, dtype: dtype as TensorSpecification["dtype"], shape };
  });
  using writer = await createCheckpointWriter(out, specifications);
  for (const [index, { name, shape }] of specifications.entries()) {
    const edit = rewrite.edit(name);
    for (const rows of rowPieces(shape, edit)) {
      rewrite.signal.throwIfAborted();
      const place = { name, source: sources.get(name)!, rows };
      const bytes = await changed(checkpoint, place, edit);
      await writer.write(name, bytes);
      release(bytes);
    }
    rewrite.progress(index + 1, specifications.length, name);
  }
  await writer.close();
  const { tokenizer, files } = checkpoint;
  const config = rewrite.config ?? checkpoint.config;
  await writeCheckpointTexts({ config, tokenizer, files }, out);
  await writeModelRecord(out, rewrite.record);
}

async function changed(
  checkpoint: Checkpoint,
  { name, source, rows }: {
    readonly name: string;
    readonly source: string;
    readonly rows: RowRange;
  },
  edit: TensorEdit | undefined,
): Promise<Uint8Array> {
  if (!edit) return await checkpoint.readRaw(source, rows);
  const { dtype, file } = checkpoint.tensors.get(source)!;
  const values = await checkpoint.read(source, rows);
  await edit.change({ values, rows, columns: values.length / Math.max(1, rows.end - rows.start) });
  assertFinite(values, name, file, rows);
  const bytes = storedBytes(values, { name, dtype, file });
  if (bytes.buffer !== values.buffer) release(values);
  return bytes;
}

/** Most bytes of arrays while a model is rewritten: a piece as it is stored, widened, and stored again. */
export function rewriteBytes(tensors: Checkpoint["tensors"], edit: Rewrite["edit"]): number {
  const pieces = tensors.values().map(({ name, dtype, shape }) => {
    const change = edit(name);
    const [{ start, end } = { start: 0, end: 0 }] = rowPieces(shape, change);
    const share = (end - start) / (shape[0] ?? 1);
    const stored = share * tensorBytes({ dtype: dtype as SafetensorsDType, shape });
    const values = 4 * share * elements(shape);
    // What needs all rows keeps them as they were; what is only copied is soon followed by more.
    return 2 * stored + (change ? values * (change.whole ? 2 : 1) : 0);
  });
  return pieces.reduce((a, b) => Math.max(a, b), 0);
}

/** Names that a model artifact's stages write themselves. */
const REWRITTEN = new RegExp(`^(${MODEL_RECORD}|channels-\\d+\\.safetensors|artifact\\.json)$`);
/** The one name that makes a directory an artifact. */
const ARTIFACT = /^artifact\.json$/;

/**
 * Takes over a model's weights and texts unchanged: as hard links where the file system has them, for
 * artifacts are read-only.
 */
export async function copyModelFiles(
  from: string,
  out: string,
  { all = false }: {
    /** Takes over what stages write themselves as well: the copy is the same model. */
    readonly all?: boolean;
  } = {},
): Promise<void> {
  for await (const { name, isFile } of Deno.readDir(from)) {
    if (!isFile || (all ? ARTIFACT : REWRITTEN).test(name)) continue;
    await Deno.link(`${from}/${name}`, `${out}/${name}`)
      .catch(() => Deno.copyFile(`${from}/${name}`, `${out}/${name}`));
  }
}
