import { elements } from "../../kernels/device/tensor.ts";
import { rowPieces } from "../formats/rows.ts";
import type { RowRange } from "../formats/checkpoint.ts";
import { toBrain } from "../formats/half.ts";
import { codedValues } from "../quant/coded_weight.ts";
import type { Reading } from "./format.ts";
import type { Source } from "./subject.ts";

/** Values that are written and compared at once: what both sides make of them is there several times. */
export const COMPARED_VALUES = 2 ** 21;

/** A rule that an export breaks. */
export interface Breach {
  /** The tensor, or the linear before its parts' names; none where it is about the whole. */
  readonly tensor?: string;
  /** What is and what should be. */
  readonly rule: string;
}

/** How an export is checked. */
export interface VerifyOptions {
  /** The model it was made from, to compare with; only its own rules are checked without. */
  readonly source?: Source;
  /** See `Format.rounding`. */
  readonly rounding?: number;
  readonly signal?: AbortSignal;
  progress?(done: number, total: number, note: string): void;
}

/**
 * Checks a checkpoint in a format: names, shapes and types, then one linear at a time the rules of its
 * packing, and with a source every value.
 */
export async function* verifyReading(
  reading: Reading,
  { source, rounding = 0, signal, progress }: VerifyOptions = {},
): AsyncGenerator<Breach> {
  for (const rule of reading.problems) yield { rule };
  for (const name of reading.unexpected) {
    yield { tensor: name, rule: "no such tensor is known to the format, expected none" };
  }
  if (reading.problems.length > 0) return;
  const names = Object.keys(reading.linears);
  const dense = source
    ? [...source.subject.tensors.keys()]
      .filter((name) => !names.includes(source.subject.quantizableOf(name)?.name ?? ""))
    : [];
  const total = names.length + dense.length;
  let done = 0;
  for (const name of names) {
    signal?.throwIfAborted();
    const breach = await verifyLinear(reading, name, { source, rounding });
    if (breach) yield breach;
    progress?.(++done, total, name);
  }
  for (const name of dense) {
    signal?.throwIfAborted();
    const rule = await compareDense(reading, name, source!);
    if (rule) yield { tensor: name, rule };
    progress?.(++done, total, name);
  }
}

async function verifyLinear(
  reading: Reading,
  name: string,
  { source, rounding }: { readonly source: Source | undefined; readonly rounding: number },
): Promise<Breach | undefined> {
  let values: Awaited<ReturnType<typeof valuesOf>>;
  try {
    values = await valuesOf(reading, name);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { tensor: name, rule: error.message };
  }
  if (!source) return undefined;
  const { weight, rows, columns } = source.subject.quantizable.find((linear) =>
    linear.name === name
  )!;
  const original = source.subject.record.linears[name] && await source.linear(name);
  for (const piece of rowPieces([rows, columns], { values: COMPARED_VALUES })) {
    const got = await values(piece);
    const expected = original
      ? codedValues(original, piece)
      : await source.checkpoint.read(weight, piece);
    const at = firstDifference(got, expected, { columns, rounding });
    if (at === undefined) continue;
    const row = piece.start + Math.floor(at / columns);
    return {
      tensor: name,
      rule: `output ${row}, input ${at % columns} is ${got[at]}, expected ${expected[at]}`,
    };
  }
  return undefined;
}

/** Values of a linear by rows: from its codes, else as the format gives them where it keeps none. */
async function valuesOf(
  { linear, values }: Reading,
  name: string,
): Promise<(rows: RowRange) => Float32Array | Promise<Float32Array>> {
  try {
    const weight = await linear(name);
    return (rows) => codedValues(weight, rows);
  } catch (error) {
    if (!values) throw error;
    // Codes that no kernel here takes may be sound; values are only given of those that are.
    const sound = await values(name).then(() => true, () => false);
    if (!sound) throw error;
    return (rows) => values(name, rows);
  }
}

/** Where values first differ by more than `rounding` times the largest of their row. */
function firstDifference(
  got: Float32Array,
  expected: Float32Array,
  { columns, rounding }: { readonly columns: number; readonly rounding: number },
): number | undefined {
  for (let row = 0; row < got.length; row += columns) {
    let most = 0;
    if (rounding > 0) {
      for (let i = row; i < row + columns; i++) most = Math.max(most, Math.abs(expected[i]!));
    }
    for (let i = row; i < row + columns; i++) {
      if (!(Math.abs(got[i]! - expected[i]!) <= rounding * most)) return i;
    }
  }
  return undefined;
}

/** Compares a tensor in floating point with the model's values, rounded as it is. */
async function compareDense(
  { checkpoint }: Reading,
  name: string,
  source: Source,
): Promise<string | undefined> {
  const stored = checkpoint.tensors.get(name);
  if (!stored) return "it is missing, expected it";
  const { tensors, record, config, ownHead, embeddings, quantizableOf } = source.subject;
  const linear = quantizableOf(name)?.name;
  const coded = linear !== undefined && record.linears[linear]
    ? await source.linear(linear)
    : undefined;
  const shape = tensors.get(name)!;
  const from = name === ownHead && config.tied ? embeddings : name;
  const { offset } = stored;
  const round = offset === undefined
    ? ROUND[stored.dtype] ?? ((values) => values)
    // What is stored is rounded, and so is the sum.
    : (values: Float32Array) =>
      values.map((value) => value - offset).map((value) => value + offset);
  for (const piece of rowPieces(shape, { values: COMPARED_VALUES })) {
    const got = await checkpoint.read(name, piece);
    const expected = round(
      coded ? codedValues(coded, piece) : await source.checkpoint.read(from, piece),
    );
    const columns = elements(shape) / shape[0]!;
    const at = firstDifference(got, expected, { columns, rounding: 0 });
    if (at !== undefined) {
      return `value ${piece.start * columns + at} is ${got[at]}, expected ${expected[at]}`;
    }
  }
  return undefined;
}

const ROUND: Readonly<Record<string, (values: Float32Array<ArrayBuffer>) => Float32Array>> = {
  F16: (values) => new Float32Array(new Float16Array(values)),
  BF16: (values) =>
    new Float32Array(Uint32Array.from(toBrain(values), (half) => half << 16).buffer),
};
