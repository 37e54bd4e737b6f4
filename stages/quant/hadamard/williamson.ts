import { matrixOf } from "./matrix.ts";

/** First rows of four symmetric circulants. */
type FirstRows = readonly [a: string, b: string, c: string, d: string];

/**
 * First rows by the order of the whole matrix. Those of 52, 156 and 172 are the ones deepcompressor
 * and QuaRot use; those of 92 and 116 are the first that an exhaustive search over symmetric
 * sequences met whose power spectra add up to the order.
 */
const ROWS: Readonly<Record<number, FirstRows>> = {
  52: [
    "+-+--++++--+-",
    "+---++++++---",
    "++-+--++--+-+",
    "+----+--+----",
  ],
  92: [
    "+---++-+-++++++-+-++---",
    "+--++-++++----++++-++--",
    "+-----+++--++--+++-----",
    "+++-+-+-++-++-++-+-+-++",
  ],
  116: [
    "+--++----+-++++++++-+----++--",
    "+--+---+-+--++++++--+-+---+--",
    "++--++-+-++++----++++-+-++--+",
    "+-+++-+++--+-++++-+--+++-+++-",
  ],
  156: [
    "+++--+-+-----+--++----++--+-----+-+--++",
    "++++---+--++----+-+--+-+----++--+---+++",
    "+++--++-+---+-+--+----+--+-+---+-++--++",
    "+---++-+-+-----+++-++-+++-----+-+-++---",
  ],
  172: [
    "+---++--++++-+-+++-++--++-+++-+-++++--++---",
    "++-++++++----+-+--++-++-++--+-+----++++++-+",
    "+++-+-++--+-+-++++-+----+-++++-+-+--++-+-++",
    "++---++++-+--+--++--------++--+--+-++++---+",
  ],
};

/** Which block, of A to D, and which sign stands at each place of the four by four array. */
const ARRAY: readonly (readonly (readonly [block: number, sign: number])[])[] = [
  [[0, 1], [1, 1], [2, 1], [3, 1]],
  [[1, -1], [0, 1], [3, -1], [2, 1]],
  [[2, -1], [3, 1], [0, 1], [1, -1]],
  [[3, -1], [2, -1], [1, 1], [0, 1]],
];

/**
 * Williamson's construction (1944): a Hadamard matrix of `order`, row by row, from four symmetric
 * circulants of a quarter of it; undefined for orders whose circulants are not known here.
 */
export function williamson(order: number): (() => Int8Array) | undefined {
  const rows = ROWS[order];
  if (!rows) return undefined;
  const size = order / 4;
  return () =>
    matrixOf(order, (i, j) => {
      const [block, sign] = ARRAY[Math.floor(i / size)]![Math.floor(j / size)]!;
      return rows[block]![(j % size - i % size + size) % size] === "+" ? sign : -sign;
    });
}
