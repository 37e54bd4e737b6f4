import type { RowRange, StoredTensor } from "./checkpoint.ts";

/** A range of rows that lies in a tensor, all of it unless said, and the elements of one row. */
export function rowRange(
  tensor: StoredTensor,
  rows: RowRange | undefined,
): RowRange & { readonly width: number } {
  const [count = 1, ...inner] = tensor.shape;
  const { start, end } = rows ?? { start: 0, end: count };
  if (!(Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start <= end)) {
    throw new RangeError(
      `Cannot read rows ${start} to ${end} of tensor "${tensor.name}": expected whole numbers in order`,
    );
  }
  if (end > count) {
    throw new RangeError(
      `Cannot read rows ${start} to ${end} of tensor "${tensor.name}" of "${tensor.file}": ` +
        `it has ${count}, expected no more`,
    );
  }
  return { start, end, width: inner.reduce((product, size) => product * size, 1) };
}

/** The shape of a tensor by which its rows are read: a stack of matrices is one, one below the other. */
export function shapeInRows(shape: readonly number[]): readonly number[] {
  if (shape.length !== 3) return shape;
  const [count = 0, rows = 0, columns = 0] = shape;
  return [count * rows, columns];
}

/** A tensor of a checkpoint; throws a `TypeError` that names checkpoint and tensor. */
export function findTensor<T>(tensors: ReadonlyMap<string, T>, name: string, path: string): T {
  const tensor = tensors.get(name);
  if (tensor !== undefined) return tensor;
  throw new TypeError(
    `Cannot read tensor "${name}" of "${path}": there is none, expected it among its ` +
      `${tensors.size} tensors`,
  );
}

/** Values of a tensor that are worked on at once, where rows do not depend on each other. */
export const PIECE_VALUES = 2 ** 22;

/** Ranges of rows in which a tensor is read and written; all at once where all rows are needed. */
export function rowPieces(
  shape: readonly number[],
  { whole = false, values = PIECE_VALUES }: {
    readonly whole?: boolean;
    readonly values?: number;
  } = {},
): RowRange[] {
  const [rows = 1, ...inner] = shape;
  const width = inner.reduce((product, axis) => product * axis, 1);
  const step = whole ? rows : Math.min(rows, Math.max(1, Math.floor(values / width)));
  return Array.from({ length: Math.ceil(rows / step) }, (_, i) => ({
    start: i * step,
    end: Math.min(rows, (i + 1) * step),
  }));
}

/**
 * Throws a `RangeError` that names file, tensor and place of the first NaN or infinity of a tensor, or of
 * some of its rows.
 */
export function assertFinite(
  values: Float32Array,
  name: string,
  file: string,
  { start, end }: RowRange = { start: 0, end: 1 },
): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value - value === 0) continue;
    const place = start * (values.length / (end - start)) + i;
    throw new RangeError(
      `Cannot use tensor "${name}" of "${file}": its value ${place} is ${value}, expected finite weights`,
    );
  }
}
