import { normals } from "./random.ts";

/** Normally distributed numbers that are the same in every run. */
export function gaussian(count: number, seed: string): Float32Array<ArrayBuffer> {
  const source = normals(seed);
  return Float32Array.from({ length: count }, () => source.next().value);
}

/** The Gram matrix of three times as many rows as columns, whose neighbours are alike. */
export function correlated(columns: number, seed: string): Float32Array<ArrayBuffer> {
  const rows = gaussian(3 * columns * columns, seed);
  const gram = new Float32Array(columns * columns);
  for (let start = 0; start < rows.length; start += columns) {
    const row = rows.subarray(start, start + columns);
    for (let c = 1; c < columns; c++) row[c]! += 0.9 * row[c - 1]!;
    row.forEach((a, i) => row.forEach((b, j) => gram[i * columns + j]! += a * b));
  }
  return gram;
}
