/**
 * The factor of a symmetric matrix on the host in double precision: V [size, size], upper triangular with V^T V the
 * symmetric `matrix`; undefined where a pivot is not positive.
 */
export function choleskyUpper(matrix: ArrayLike<number>, size: number): Float64Array | undefined {
  const v = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    const line = v.subarray(row * size, (row + 1) * size);
    for (let j = row; j < size; j++) line[j] = matrix[row * size + j]!;
    for (let t = 0; t < row; t++) {
      const factor = v[t * size + row]!;
      for (let j = row; j < size; j++) line[j]! -= factor * v[t * size + j]!;
    }
    const left = line[row]!;
    if (!(left > 0)) return undefined;
    const pivot = Math.sqrt(left);
    for (let j = row; j < size; j++) line[j]! /= pivot;
  }
  return v;
}
