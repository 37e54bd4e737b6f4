import { assertFinite, rowPieces } from "../formats/rows.ts";
import { bytesOf } from "../formats/half.ts";
import { release } from "../../kernels/device/release.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { untied } from "../models/architecture.ts";
import type { Architecture } from "../models/family.ts";
import type { LinearFacts } from "../models/model_record.ts";
import type { LinearOutline } from "../models/site.ts";
import { codedValues } from "../quant/coded_weight.ts";
import { ErrorSums } from "../quant/error_sums.ts";
import { ScaleLosses } from "../quant/scale_losses.ts";
import type { LinearScheme, WeightScheme } from "../quant/schemes.ts";
import { storedTensors } from "../quant/stored_weight.ts";
import { checkGroup, gridOf, type Matrix, roundToNearest } from "../quant/weight_grid.ts";
import type { QuantizeParams } from "./params.ts";

/** The output head as it is quantized. */
export interface HeadPlan {
  readonly linear: LinearOutline;
  readonly scheme: LinearScheme;
  /** Tensor of its weight before: the embedding table, where that is the head. */
  readonly from: string;
}

const WEIGHTS: WeightScheme = { bits: 8, zero: "none", group: "row", levels: 1 };

/**
 * What becomes of the head. One that is the embedding table gets a weight of its own: lookups read a
 * row a token, which costs nothing in any precision, and codes there would change the input of all
 * layers.
 */
export function planHead(
  architecture: Architecture,
  precision: QuantizeParams["head"],
): HeadPlan | undefined {
  if (precision === undefined) return undefined;
  const [linear] = untied(architecture).head.linears;
  checkGroup(linear.weight, WEIGHTS, linear.columns);
  const inputs = precision === "w8a8" && { inputs: { bits: 8, range: "dynamic" } as const };
  const from = architecture.head.linears[0].weight;
  return { linear, scheme: { weights: WEIGHTS, ...inputs }, from };
}

/** Values of a head that are quantized at once: its rows have nothing to do with each other. */
export const HEAD_VALUES = 2 ** 20;

/** Rounds the head to nearest, some rows at a time, and writes its tensors. */
export async function quantizeHead(
  checkpoint: Checkpoint,
  { linear: { name, rows, columns }, scheme: { weights }, from }: HeadPlan,
  { writer, signal, progress }: {
    readonly writer: { write(name: string, bytes: Uint8Array): Promise<void> };
    readonly signal: AbortSignal;
    /** Told of rows that are done. */
    progress(done: number, total: number): void;
  },
): Promise<LinearFacts> {
  const behind: { readonly name: string; readonly bytes: Uint8Array }[] = [];
  const losses = new ScaleLosses(weights);
  const sums = new ErrorSums();
  for (const piece of rowPieces([rows, columns], { values: HEAD_VALUES })) {
    signal.throwIfAborted();
    const values = await checkpoint.read(from, piece);
    assertFinite(values, from, checkpoint.tensors.get(from)!.file, piece);
    const matrix: Matrix = { rows: piece.end - piece.start, columns, values };
    losses.add(matrix);
    const { domain, grid } = gridOf(matrix, weights);
    const coded = roundToNearest(domain, grid);
    const [codes, ...others] = storedTensors(coded, name);
    await writer.write(codes!.name, bytesOf(codes!.values));
    for (const { name, values } of others) behind.push({ name, bytes: bytesOf(values) });
    sums.addWeight(codedValues(coded), values);
    release(values);
    progress(piece.end, rows);
  }
  losses.finish(name);
  for (const { name, bytes } of behind) await writer.write(name, bytes);
  return { method: "rtn", weightError: sums.weightError };
}
