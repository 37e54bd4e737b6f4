import { applyEdit, type ChannelEdit, needsAllRows, type RowPiece } from "./edits.ts";
import { type ColumnSpans, noSpans, poolSpans } from "./spans.ts";

const PIECE_VALUES = 2 ** 24;

/** Where weights are read from: a checkpoint. */
export interface WeightSource {
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>;
  read(
    name: string,
    rows?: { readonly start: number; readonly end: number },
  ): Promise<Float32Array<ArrayBuffer>>;
}

/** The matrix of a source with its edit applied, some rows at a time. */
export async function* weightPieces(
  source: WeightSource,
  name: string,
  edit?: ChannelEdit,
): AsyncGenerator<RowPiece> {
  const [all = 0, columns = 0] = source.tensors.get(name)!.shape;
  const whole = edit !== undefined && needsAllRows(edit);
  const step = whole ? all : Math.max(1, Math.floor(PIECE_VALUES / columns));
  for (let first = 0; first < all; first += step) {
    const rows = Math.min(step, all - first);
    const values = await source.read(name, { start: first, end: first + rows });
    const piece = { first, rows, columns, values };
    if (edit) applyEdit(edit, piece);
    yield piece;
  }
}

/** The matrices of a site's linears with their edits applied, some rows at a time. */
export async function* linearPieces(
  source: WeightSource,
  names: readonly string[],
  edits: ReadonlyMap<string, ChannelEdit>,
): AsyncGenerator<RowPiece> {
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
