import type { Piece, TensorEdit } from "../models/rewrite.ts";

/** How the channels along one axis of a weight change: new[j] = old[index[j]] * factor[j]. */
export interface AxisEdit {
  readonly index?: Uint32Array<ArrayBuffer>;
  readonly factor?: Float64Array<ArrayBuffer>;
}

/** How a weight [rows, columns] changes; a vector has rows of one value. */
export interface ChannelEdit {
  readonly rows?: AxisEdit;
  readonly columns?: AxisEdit;
}

/** The edit with `factor` multiplied onto an axis after what it does already. */
export function scaleAxis(
  edit: ChannelEdit | undefined,
  axis: keyof ChannelEdit,
  factor: Float64Array<ArrayBuffer>,
): ChannelEdit {
  const old = edit?.[axis];
  const product = factor.map((value, i) => value * (old?.factor?.[i] ?? 1));
  return { ...edit, [axis]: { ...old, factor: product } };
}

/** The edit with an axis permuted; one that scales this axis already is refused. */
export function permuteAxis(
  edit: ChannelEdit | undefined,
  axis: keyof ChannelEdit,
  index: Uint32Array<ArrayBuffer>,
): ChannelEdit {
  if (edit?.[axis]) {
    throw new TypeError(`Cannot permute ${axis}: they change already, expected them untouched`);
  }
  return { ...edit, [axis]: { index } };
}

/** Applies an edit to rows of its weight in place; products are rounded once. */
function applyEdit(edit: ChannelEdit, { values, rows: { start }, columns }: Piece): void {
  const { index, factor } = edit.columns ?? {};
  const old = edit.rows?.index ? values.slice() : values;
  const line = new Float64Array(columns);
  for (let row = 0; row * columns < values.length; row++) {
    const from = (edit.rows?.index?.[start + row] ?? row) * columns;
    const rowFactor = edit.rows?.factor?.[start + row] ?? 1;
    for (let c = 0; c < columns; c++) {
      line[c] = old[from + (index?.[c] ?? c)]! * rowFactor * (factor?.[c] ?? 1);
    }
    values.set(line, row * columns);
  }
}

/** An edit as `rewriteModel` takes it; a new order of rows needs all of them at once. */
export function tensorEdit(edit: ChannelEdit | undefined): TensorEdit | undefined {
  return edit && {
    whole: edit.rows?.index !== undefined,
    change: (piece) => applyEdit(edit, piece),
  };
}
