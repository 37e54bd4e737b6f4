import type { Matrix } from "../quant/weight_grid.ts";

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

/** Some rows of a weight, the first of them row `first` of all. */
export interface RowPiece extends Matrix {
  readonly first: number;
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

/** Whether an edit needs all rows of its weight at once. */
export function needsAllRows({ rows }: ChannelEdit): boolean {
  return rows?.index !== undefined;
}

/** Applies an edit to rows of its weight in place; products are rounded once. */
export function applyEdit(edit: ChannelEdit, piece: RowPiece): void {
  const { first, columns, values } = piece;
  const { index, factor } = edit.columns ?? {};
  const old = edit.rows?.index ? values.slice() : values;
  const line = new Float64Array(columns);
  for (let row = 0; row * columns < values.length; row++) {
    const from = (edit.rows?.index?.[first + row] ?? row) * columns;
    const rowFactor = edit.rows?.factor?.[first + row] ?? 1;
    for (let c = 0; c < columns; c++) {
      line[c] = old[from + (index?.[c] ?? c)]! * rowFactor * (factor?.[c] ?? 1);
    }
    values.set(line, row * columns);
  }
}

/** An edit as `rewriteModel` takes it. */
export function tensorEdit(edit: ChannelEdit) {
  return {
    whole: needsAllRows(edit),
    change({ values, rows: { start, end }, columns }: {
      readonly values: Float32Array<ArrayBuffer>;
      readonly rows: { readonly start: number; readonly end: number };
      readonly columns: number;
    }): void {
      applyEdit(edit, { first: start, rows: end - start, columns, values });
    },
  };
}
