import { matrixOf } from "./matrix.ts";
import { paleyOne, paleyTwo } from "./paley.ts";
import { williamson } from "./williamson.ts";

/**
 * How a Hadamard matrix of `order` is built, row by row; undefined where no construction reaches it.
 *
 * Sylvester for powers of two; else Paley over primes, Williamson, Paley over prime powers,
 * Kronecker products. In this order the matrices of 12, 20, 28, 36, 40, 52, 60, 108, 140, 156 and
 * 172 are those of deepcompressor and QuaRot, entry by entry.
 */
export function constructionOf(order: number): (() => Int8Array) | undefined {
  if (isPowerOfTwo(order)) return () => matrixOf(order, sylvesterSign);
  if (order % 4 !== 0) return undefined;
  return paleyOne(order, "prime") ?? paleyTwo(order, "prime") ?? williamson(order) ??
    paleyOne(order, "any") ?? paleyTwo(order, "any") ?? kronecker(order);
}

/** Entry of the Sylvester matrix of any order: (-1) to the number of ones that i and j share. */
function sylvesterSign(i: number, j: number): 1 | -1 {
  let sign: 1 | -1 = 1;
  for (let shared = i & j; shared !== 0; shared &= shared - 1) sign = sign === 1 ? -1 : 1;
  return sign;
}

/** Whether a count is 1, 2, 4, 8 and so on. */
export function isPowerOfTwo(count: number): boolean {
  return count >= 1 && Number.isInteger(Math.log2(count));
}

/** The product of the smallest and the largest matrix whose orders give `order`. */
function kronecker(order: number): (() => Int8Array) | undefined {
  for (let outer = 2; outer < order; outer += 2) {
    const inner = order / outer;
    if (!Number.isInteger(inner) || inner % 2 !== 0) continue;
    const [left, right] = [constructionOf(outer), constructionOf(inner)];
    if (left && right) return () => product(left(), right(), inner);
  }
  return undefined;
}

function product(left: Int8Array, right: Int8Array, inner: number): Int8Array {
  const outer = Math.sqrt(left.length);
  return matrixOf(
    outer * inner,
    (i, j) =>
      left[Math.floor(i / inner) * outer + Math.floor(j / inner)]! *
      right[i % inner * inner + j % inner]!,
  );
}
