import { matrixOf } from "./matrix.ts";

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

/** A prime power taken apart: `prime` to the power `exponent`. */
interface PrimePower {
  readonly prime: number;
  readonly exponent: number;
}

/** The prime and the exponent of a prime power; undefined for other numbers. */
function primePower(value: number): PrimePower | undefined {
  if (value < 2) return undefined;
  let prime = 2;
  while (prime * prime <= value && value % prime !== 0) prime++;
  if (value % prime !== 0) return { prime: value, exponent: 1 };
  let [rest, exponent] = [value, 0];
  for (; rest % prime === 0; rest /= prime) exponent++;
  return rest === 1 ? { prime, exponent } : undefined;
}

/**
 * The quadratic character of differences in the field of `order` elements, an odd prime power: a
 * matrix [order, order] of chi(j - i), row by row; chi is 0 at 0, 1 at squares, -1 elsewhere.
 *
 * An element is the number whose digits to the base of the prime are its coefficients, so that the
 * elements of a prime field are the residues themselves.
 */
function differenceCharacters(order: number, { prime, exponent }: PrimePower): Int8Array {
  const chi = characters(order, prime, exponent);
  const signs = new Int8Array(order * order);
  for (let i = 0; i < order; i++) {
    for (let j = 0; j < order; j++) signs[i * order + j] = chi[difference(j, i, prime)]!;
  }
  return signs;
}

/** Chi of every element, from the powers of a generator: the even ones are the squares. */
function characters(order: number, prime: number, exponent: number): Int8Array {
  for (let reduction = 1; reduction < order; reduction++) {
    const powers = powersOfX(order, { prime, exponent, reduction });
    if (powers.length !== order - 1) continue;
    const chi = new Int8Array(order);
    powers.forEach((element, power) => chi[element] = power % 2 === 0 ? 1 : -1);
    return chi;
  }
  throw new RangeError(`Cannot make a field of ${order} elements: expected a prime power`);
}

/** 1, x, x^2 and so on up to the first repetition, where x^exponent is `reduction`. */
function powersOfX(
  order: number,
  { prime, exponent, reduction }: PrimePower & { readonly reduction: number },
): number[] {
  const high = prime ** (exponent - 1);
  const powers: number[] = [];
  const seen = new Set<number>([0]);
  for (let element = 1; !seen.has(element) && powers.length < order;) {
    seen.add(element);
    powers.push(element);
    const carried = Math.floor(element / high);
    const shifted = (element % high) * prime;
    element = sumOf(shifted, reduction, carried, prime);
  }
  return powers;
}

/** a + factor * b, digit by digit. */
function sumOf(a: number, b: number, factor: number, prime: number): number {
  let [sum, place] = [0, 1];
  for (let [x, y] = [a, b]; x > 0 || y > 0; place *= prime) {
    sum += (x % prime + factor * (y % prime)) % prime * place;
    [x, y] = [Math.floor(x / prime), Math.floor(y / prime)];
  }
  return sum;
}

function difference(a: number, b: number, prime: number): number {
  return sumOf(a, b, prime - 1, prime);
}
