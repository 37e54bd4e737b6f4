/**
 * How much of what the code of a channel misses the channels behind it take over, so that products with the
 * vectors of a Gram matrix [size, size] err least; of the matrix only what is on and above its diagonal is
 * looked at. It is A of the matrix as A D A^T, upper triangular with ones on its diagonal, which are left
 * out (LDLQ: Chee et al. 2023, QuIP, section 3.1). Entries are rounded to half precision.
 */
export function compensationOf(gram: Float64Array, size: number): Float32Array<ArrayBuffer> {
  const shares = new Float32Array(size * size);
  const mean = gram.reduce((sum, value, at) => at % (size + 1) === 0 ? sum + value / size : sum, 0);
  if (!(mean > 0)) return shares;
  const left = gram.map((value, at) => value / mean + (at % (size + 1) === 0 ? DAMPING : 0));
  for (let last = size - 1; last > 0; last--) {
    const pivot = left[last * (size + 1)]!;
    for (let row = 0; row < last; row++) {
      const share = left[row * size + last]! / pivot;
      for (let column = row; column < last; column++) {
        left[row * size + column]! -= share * left[column * size + last]!;
      }
      shares[row * size + last] = Math.f16round(share);
    }
  }
  return shares;
}

/** Added to the diagonal of a Gram matrix, as a part of its mean: so few tokens say only so much. */
const DAMPING = 0.1;

/** The entries above the diagonals of heads [heads, size, size], row by row, in half precision as base64. */
export function packedCompensation(shares: Float32Array, size: number): string {
  const above = shares.filter((_, at) => at % size > Math.floor(at / size) % size);
  return new Uint8Array(new Float16Array(above).buffer).toBase64();
}

/** Characters of such a text. */
export function packedLength(heads: number, size: number): number {
  return 4 * Math.ceil(heads * size * (size - 1) / 3);
}

/** Such a text as f32 [heads, size, size] again. */
export function unpackedCompensation(
  text: string,
  { heads, size }: { readonly heads: number; readonly size: number },
): Float32Array<ArrayBuffer> {
  const above = new Float16Array(Uint8Array.fromBase64(text).buffer);
  const shares = new Float32Array(heads * size * size);
  let from = 0;
  for (let row = 0; row < heads * size; row++) {
    for (let column = row % size + 1; column < size; column++) {
      shares[row * size + column] = above[from++]!;
    }
  }
  return shares;
}
