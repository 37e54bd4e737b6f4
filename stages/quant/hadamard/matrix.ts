/** A square matrix of signs, row by row, from its entries. */
export function matrixOf(order: number, entry: (i: number, j: number) => number): Int8Array {
  return Int8Array.from(
    { length: order * order },
    (_, at) => entry(Math.floor(at / order), at % order),
  );
}
