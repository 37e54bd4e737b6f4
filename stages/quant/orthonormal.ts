/**
 * The orthogonal matrix that Gram and Schmidt make of the rows of a square one, which is near to it:
 * the transpose of Q in a QR decomposition of its transpose whose R has a positive diagonal. Twice, in
 * double precision, so that products of rows are 0 and 1 to its last bits; rows are rounded to single
 * precision at the end.
 *
 * Throws where a row depends on those before it.
 */
export function orthonormalRows(
  values: Float32Array,
  size: number,
): Float32Array<ArrayBuffer> {
  const rows = Float64Array.from(values);
  for (let at = 0; at < rows.length; at += size) {
    const row = rows.subarray(at, at + size);
    const before = length(row);
    for (let pass = 0; pass < 2; pass++) {
      for (let other = 0; other < at; other += size) {
        const done = rows.subarray(other, other + size);
        let along = 0;
        for (let c = 0; c < size; c++) along += row[c]! * done[c]!;
        for (let c = 0; c < size; c++) row[c]! -= along * done[c]!;
      }
    }
    const left = length(row);
    if (!(left > 1e-6 * before)) {
      throw new RangeError(
        `Cannot make a rotation of a matrix of ${size} rows: row ${
          at / size + 1
        } depends on those before it, expected independent rows`,
      );
    }
    for (let c = 0; c < size; c++) row[c]! /= left;
  }
  return Float32Array.from(rows);
}

function length(row: Float64Array): number {
  return Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
}
