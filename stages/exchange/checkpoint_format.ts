import { statingEnds } from "../formats/answer_ends.ts";
import { bytesOf, denseBytes, DTYPES } from "../formats/half.ts";
import { type Checkpoint, type RowRange, writeCheckpointTexts } from "../formats/checkpoint.ts";
import { createCheckpointWriter } from "../formats/checkpoint_writer.ts";
import { openCheckpoint } from "../models/open_checkpoint.ts";
import {
  type SafetensorsDType,
  tensorBytes,
  type TensorSpecification,
} from "../formats/safetensors/header.ts";
import { HalfLosses } from "../formats/half_losses.ts";
import { rowPieces } from "../formats/rows.ts";
import { architectureOf } from "../models/architecture.ts";
import { laidOut } from "../models/laid_out.ts";
import { GAIN_OFFSET, gainsOf } from "../models/whole_gains.ts";
import { type ModelRecord, PLAIN } from "../models/model_record.ts";
import { moduleOf } from "../models/site.ts";
import type { CodedWeight } from "../quant/coded_weight.ts";
import type { LinearScheme } from "../quant/schemes.ts";
import {
  type Format,
  type FormatOptions,
  modelRefusal,
  type Reading,
  type Refusal,
} from "./format.ts";
import { type LinearParts, type PartValues, readPart } from "./part_values.ts";
import { refusedHead } from "./precision_refusals.ts";
import {
  codedByWeight,
  type CodedLinear,
  type Source,
  type Subject,
  subjectOf,
} from "./subject.ts";
import { COMPARED_VALUES } from "./verify.ts";
import { compareTensors, type TensorRule } from "./tensor_rules.ts";

/** A tensor of a quantized linear, under the linear's name and its own with a dot between. */
export interface PartOutline {
  readonly part: string;
  /** Element types that may be read; the first is written. */
  readonly dtypes: readonly [SafetensorsDType, ...SafetensorsDType[]];
  readonly shape: readonly number[];
  /** Whether files of others may lack it. */
  readonly optional?: boolean;
  /** False where only files of others have it. */
  readonly written?: boolean;
}

/** A small tensor beside the linears, such as the KV scales of a layer. */
export interface BesideTensor extends TensorSpecification {
  readonly values: ArrayBufferView;
  /** Whether files of others may lack it. */
  readonly optional?: boolean;
}

/** What tells one safetensors format from another; see `Format` for what is not said here. */
export interface Codec
  extends Pick<Format, "about" | "source" | "refusals" | "engines" | "recognizes"> {
  /** The format's name in the registry. */
  readonly name: string;
  /** The tensors of a quantized linear. */
  parts(
    linear: CodedLinear,
    options: Pick<FormatOptions, "dtype">,
  ): readonly PartOutline[];
  /** The values of one part of the linear of this name, in pieces that follow each other. */
  pack(
    weight: CodedWeight,
    part: string,
    options: Pick<FormatOptions, "dtype"> & { readonly name: string },
  ): Iterable<ArrayBufferView>;
  /**
   * `config.json` of the export, from the model's with its element type set; `tie_word_embeddings`
   * false gives a tied model a head of its own.
   */
  config(subject: Subject, json: Readonly<Record<string, unknown>>): Record<string, unknown>;
  /** Tensors beside the linears. */
  beside?(subject: Subject): readonly BesideTensor[];
  /** Other text files by name. */
  texts?(subject: Subject): Readonly<Record<string, string>>;
  /**
   * Precision of a checkpoint in this format, from its headers and small tensors; with `parts` and
   * `unpack` for this one where files of the same precision differ in their tensors.
   */
  precision(
    checkpoint: Checkpoint,
  ): Promise<
    & {
      readonly linears: Readonly<Record<string, LinearScheme>>;
      readonly kv: ModelRecord["kv"];
    }
    & Partial<Pick<Codec, "parts" | "unpack">>
  >;
  /**
   * The codes of a linear from its parts, those that are there; throws a sentence with tensor and rule
   * where they break one.
   */
  unpack(
    linear: CodedLinear,
    parts: LinearParts,
  ): CodedWeight;
  /** See `Reading.values`. */
  values?(
    linear: CodedLinear,
    parts: LinearParts,
    rows: RowRange | undefined,
  ): Float32Array<ArrayBuffer>;
  /** See `Format.rounding`; 0 unless said. */
  rounding?(subject: Subject): number;
  /** Whether the rows of linears that others store as one tensor are written below each other. */
  readonly fuses?: boolean;
  /** Whether a head in codes is written, as linears are. */
  readonly codesHead?: boolean;
}

const FLOAT16 = { dtype: "float16" } as const;

/** Makes a format of a codec: safetensors shards with an index, `config.json`, tokenizer. */
export function checkpointFormat(codec: Codec): Format {
  const { about, source, engines, recognizes } = codec;
  return {
    about,
    source,
    refusals: (subject, options) => [
      ...refusedFused(codec, subject),
      ...codec.codesHead ? [] : refusedHead(subject, codec.name),
      ...codec.refusals(subject, options),
    ],
    engines,
    recognizes,
    rounding: (subject) => codec.rounding?.(subject) ?? 0,
    weightBytes: (subject, options) =>
      plannedTensors(codec, subject, options)
        .reduce((sum, { specification }) => sum + tensorBytes(specification), 0),
    write: (source, writing) => write(codec, source, writing),
    open: (path) => open(codec, path),
  };
}

/** Why engines would not find the tensors of a family that stores several as one. */
function refusedFused({ fuses, name }: Codec, { fused, name: model }: Subject): readonly Refusal[] {
  const [[stored, parts] = []] = fused;
  if (fuses || !stored || !parts) return [];
  return [
    modelRefusal(
      `a ${model} stores ${parts.map(moduleOf).join(", ")} as one, ${
        moduleOf(stored)
      }, expected a linear a tensor: codes that lie so are not written in ${name}`,
    ),
  ];
}

/** A tensor to write and where it comes from. */
interface PlannedTensor {
  readonly specification: TensorSpecification;
  readonly from:
    | {
      readonly dense: string;
      /** Rows of it that are meant; all unless said. */
      readonly rows?: RowRange;
      /** What its values are less by, as its family stores gains; 0 unless said. */
      readonly offset?: number;
    }
    | { readonly linear: string; readonly part: string }
    | { readonly values: ArrayBufferView }
    /** One below the other. */
    | { readonly tensors: readonly PlannedTensor[] };
  readonly layer: number | undefined;
}

function plannedTensors(
  codec: Codec,
  subject: Subject,
  options: Pick<FormatOptions, "dtype">,
): PlannedTensor[] {
  const dtype = DTYPES[options.dtype];
  const coded = codedByWeight(subject);
  const offset = subject.family.gainOffset ?? 0;
  const less = offset === 0 ? new Set<string>() : gainsOf(subject);
  const planned = [...subject.tensors].flatMap(([name, shape]): PlannedTensor[] => {
    const layer = subject.layerOf(name);
    const linear = coded.get(name);
    if (less.has(name)) {
      // Half precision would leave little of a small gain.
      return [{
        specification: { name, dtype: "F32", shape },
        from: { dense: name, offset },
        layer,
      }];
    }
    if (!linear) {
      return [{ specification: { name, dtype, shape }, from: { dense: name }, layer }];
    }
    const parts = codec.parts(linear, options).filter(({ written }) => written !== false);
    return parts.map(({ part, dtypes: [dtype], shape }) => ({
      specification: { name: `${linear.name}.${part}`, dtype, shape },
      from: { linear: linear.name, part },
      layer,
    }));
  });
  if (subject.config.tied && configOf(codec, subject, options).tie_word_embeddings === false) {
    const { tensors, embeddings, ownHead } = subject;
    const specification = { name: ownHead, dtype, shape: tensors.get(embeddings)! };
    planned.push({ specification, from: { dense: embeddings }, layer: undefined });
  }
  const beside = (codec.beside?.(subject) ?? []).map(({ name, dtype, shape, values }) => (
    { specification: { name, dtype, shape }, from: { values }, layer: undefined }
  ));
  return [...fusedTensors(partedTensors(planned, subject), subject), ...beside];
}

/** The tensors with vectors as others store them: rows of a matrix, or each by itself. */
function partedTensors(
  planned: readonly PlannedTensor[],
  { joined }: Pick<Subject, "joined">,
): PlannedTensor[] {
  return planned.flatMap((tensor): PlannedTensor[] => {
    const { specification: { name, dtype, shape: [count = 0] }, layer } = tensor;
    const stored = joined?.get(name);
    if (!stored) return [tensor];
    const size = count / stored.rows;
    if (!stored.names) {
      return [{ ...tensor, specification: { name, dtype, shape: [stored.rows, size] } }];
    }
    return stored.names.map((part, row) => ({
      specification: { name: part, dtype, shape: [size] },
      from: { dense: name, rows: { start: row * size, end: (row + 1) * size } },
      layer,
    }));
  });
}

/** The tensors with those in one that checkpoints of others store as one. */
function fusedTensors(planned: readonly PlannedTensor[], { fused }: Subject): PlannedTensor[] {
  const byName = new Map(planned.map((tensor) => [tensor.specification.name, tensor]));
  for (const [name, parts] of fused) {
    const tensors = parts.map((part) => byName.get(part)!);
    const { specification: { dtype, shape: [, ...inner] }, layer } = tensors[0]!;
    const rows = tensors.reduce((sum, { specification }) => sum + specification.shape[0]!, 0);
    const specification = { name, dtype, shape: [rows, ...inner] };
    for (const part of parts) byName.delete(part);
    byName.set(name, { specification, from: { tensors }, layer });
  }
  return [...byName.values()];
}

function configOf(
  codec: Codec,
  subject: Subject,
  { dtype }: Pick<FormatOptions, "dtype">,
): Record<string, unknown> {
  const { dtype: _, [GAIN_OFFSET]: __, ...json } = subject.json;
  return codec.config(subject, { ...json, torch_dtype: dtype });
}

async function write(
  codec: Codec,
  { checkpoint, linear }: Source,
  { subject, out, options, signal, progress }: Parameters<Format["write"]>[1],
): Promise<void> {
  const planned = plannedTensors(codec, subject, options);
  const specifications = planned.map(({ specification }) => specification);
  const { shardBytes } = options;
  using writer = await createCheckpointWriter(out, specifications, { shardBytes });
  let held: { readonly name: string; readonly weight: CodedWeight } | undefined;
  const put = async (name: string, { specification: { dtype, shape }, from }: PlannedTensor) => {
    if ("tensors" in from) { for (const tensor of from.tensors) await put(name, tensor); }
    else if ("values" in from) await writer.write(name, bytesOf(from.values));
    else if ("dense" in from) {
      const { file, shape: held } = checkpoint.tensors.get(from.dense)!;
      const losses = new HalfLosses({
        name,
        columns: shape.at(-1) ?? 1,
        rowsCount: subject.linearOf(name) !== undefined,
      });
      const { dense, offset = 0 } = from;
      const pieces = from.rows ? [from.rows] : rowPieces(held, { values: COMPARED_VALUES });
      for (const rows of pieces) {
        const whole = await checkpoint.read(dense, rows);
        const values = offset === 0 ? whole : whole.map((value) => value - offset);
        await writer.write(name, denseBytes(values, { name, dtype, file }));
        if (dtype === "F16") losses.add(values);
      }
      losses.finish();
    } else {
      if (held?.name !== from.linear) {
        held = undefined;
        held = { name: from.linear, weight: await linear(from.linear) };
      }
      for (const piece of codec.pack(held.weight, from.part, { ...options, name: from.linear })) {
        await writer.write(name, bytesOf(piece));
      }
    }
  };
  for (const [index, tensor] of planned.entries()) {
    signal.throwIfAborted();
    const { specification: { name }, layer } = tensor;
    await put(name, tensor);
    progress(index + 1, planned.length, layer === undefined ? name : `layer ${layer}`);
  }
  await writer.close();
  const { tokenizer, files } = checkpoint;
  const config = configOf(codec, subject, options);
  await writeCheckpointTexts(statingEnds({ config, tokenizer, files }), out);
  for (const [name, text] of Object.entries(codec.texts?.(subject) ?? {})) {
    await Deno.writeTextFile(`${out}/${name}`, text);
  }
}

async function open(given: Codec, path: string): Promise<Reading> {
  const stored = await openCheckpoint(path);
  try {
    const checkpoint = laidOut(stored, architectureOf(stored.config));
    const { linears, kv, ...own } = await given.precision(checkpoint);
    const codec: Codec = { ...given, ...own };
    const { quantization_config: _, compression_config: __, ...config } = checkpoint
      .config as Record<string, unknown>;
    const subject = subjectOf({ config, record: { ...PLAIN, linears, kv } });
    const outlines = new Map(
      [...codedByWeight(subject).values()].map((linear) => [linear.name, linear]),
    );
    const { problems, unexpected } = compareTensors(
      expectedTensors(codec, subject),
      checkpoint.tensors,
    );
    return {
      format: codec.name,
      checkpoint,
      config,
      linears,
      kv,
      problems,
      unexpected,
      async linear(name) {
        const linear = outlines.get(name)!;
        return codec.unpack(linear, await readParts(codec, checkpoint, linear));
      },
      ...codec.values && { values: valuesOf({ codec, checkpoint, outlines }) },
      [Symbol.dispose]: () => checkpoint[Symbol.dispose](),
    };
  } catch (error) {
    stored[Symbol.dispose]();
    throw error;
  }
}

async function readParts(
  codec: Codec,
  checkpoint: Checkpoint,
  linear: CodedLinear,
): Promise<LinearParts> {
  const parts: Record<string, PartValues> = {};
  for (const { part } of codec.parts(linear, FLOAT16)) {
    const values = await readPart(checkpoint, `${linear.name}.${part}`);
    if (values) parts[part] = values;
  }
  return parts;
}

/** Values of rows, which are asked for piece by piece: the parts of the last linear are kept. */
function valuesOf(
  { codec, checkpoint, outlines }: {
    readonly codec: Codec;
    readonly checkpoint: Checkpoint;
    readonly outlines: ReadonlyMap<string, CodedLinear>;
  },
): NonNullable<Reading["values"]> {
  let held: { readonly name: string; readonly parts: LinearParts };
  return async (name, rows) => {
    const linear = outlines.get(name)!;
    if (held?.name !== name) {
      held = { name, parts: await readParts(codec, checkpoint, linear) };
    }
    return codec.values!(linear, held.parts, rows);
  };
}

/** What a checkpoint in this format must hold, with the types it may have. */
function expectedTensors(codec: Codec, subject: Subject): ReadonlyMap<string, TensorRule> {
  const coded = codedByWeight(subject);
  const floats = Object.values(DTYPES);
  const expected = new Map<string, TensorRule>();
  for (const [name, shape] of subject.tensors) {
    const linear = coded.get(name);
    if (!linear) {
      expected.set(name, { shape, dtypes: floats, optional: false });
      continue;
    }
    for (const { part, optional = false, ...rule } of codec.parts(linear, FLOAT16)) {
      expected.set(`${linear.name}.${part}`, { ...rule, optional });
    }
  }
  for (const { name, dtype, shape, optional = false } of codec.beside?.(subject) ?? []) {
    expected.set(name, { shape, dtypes: [dtype, ...floats], optional });
  }
  return expected;
}
