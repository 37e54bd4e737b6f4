import { matrixOf } from "./matrix.ts";
import { differenceCharacters, type PrimePower, primePower } from "./residues.ts";

/**
 * Paley's first construction (1933): a Hadamard matrix of `order`, row by row, where order - 1 is a
 * prime power that leaves 3 when divided by 4; undefined for other orders.
 */
export function paleyOne(order: number, powers: "prime" | "any"): (() => Int8Array) | undefined {
  const size = order - 1;
  const parts = admitted(size, powers);
  if (!parts || size % 4 !== 3) return undefined;
  return () => {
    const chi = differenceCharacters(size, parts);
    return matrixOf(order, (i, j) => {
      if (j === 0) return 1;
      if (i === 0) return -1;
      return i === j ? 1 : -chi[(i - 1) * size + j - 1]!;
    });
  };
}

/**
 * Paley's second construction: a Hadamard matrix of `order`, row by row, where order / 2 - 1 is a
 * prime power that leaves 1 when divided by 4; undefined for other orders.
 */
export function paleyTwo(order: number, powers: "prime" | "any"): (() => Int8Array) | undefined {
  const half = order / 2;
  const size = half - 1;
  const parts = admitted(size, powers);
  if (!parts || size % 4 !== 1) return undefined;
  return () => {
    const chi = differenceCharacters(size, parts);
    const conference = (i: number, j: number) => {
      if (i === 0 || j === 0) return i === j ? 0 : 1;
      return chi[(i - 1) * size + j - 1]!;
    };
    return matrixOf(order, (i, j) => {
      const [row, column] = [i % half, j % half];
      const entry = conference(row, column);
      const unit = row === column ? 1 : 0;
      if (i < half) return j < half ? entry + unit : entry - unit;
      return j < half ? entry - unit : -entry - unit;
    });
  };
}

function admitted(size: number, powers: "prime" | "any"): PrimePower | undefined {
  const parts = Number.isInteger(size) ? primePower(size) : undefined;
  return parts && (powers === "any" || parts.exponent === 1) ? parts : undefined;
}
