import type { RowRange } from "../formats/checkpoint.ts";
import type { Matrix } from "../quant/weight_grid.ts";
import { type ChannelEdit, tensorEdit } from "./edits.ts";
import { rowPieces } from "../formats/rows.ts";
import { type ColumnSpans, noSpans, poolSpans } from "./spans.ts";

/** Where weights are read from: a checkpoint. */
export interface WeightSource {
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>;
  read(name: string, rows?: RowRange): Promise<Float32Array<ArrayBuffer>>;
}

/** The matrix of a source with its edit applied, some rows at a time. */
export async function* weightPieces(
  source: WeightSource,
  name: string,
  edit?: ChannelEdit,
): AsyncGenerator<Matrix> {
  const { shape } = source.tensors.get(name)!;
  const [, columns = 0] = shape;
  const change = tensorEdit(edit);
  for (const rows of rowPieces(shape, change)) {
    const values = await source.read(name, rows);
    await change?.change({ values, rows, columns });
    yield { rows: rows.end - rows.start, columns, values };
  }
}

/** The matrices of a site's linears with their edits applied, some rows at a time. */
export async function* linearPieces(
  source: WeightSource,
  names: readonly string[],
  edits: ReadonlyMap<string, ChannelEdit>,
): AsyncGenerator<Matrix> {
  for (const name of names) yield* weightPieces(source, name, edits.get(name));
}

/** Spans of the input channels of some weights, pooled over their rows. */
export async function weightSpans(
  source: WeightSource,
  names: readonly string[],
  edits: ReadonlyMap<string, ChannelEdit>,
): Promise<ColumnSpans> {
  let spans = noSpans(source.tensors.get(names[0]!)!.shape[1]!);
  for await (const piece of linearPieces(source, names, edits)) spans = poolSpans(spans, piece);
  return spans;
}
