import { strict as assert } from "node:assert";
import { applyHadamard, hadamardFactor } from "../../../stages/quant/hadamard.ts";
import { normals } from "../../support/random.ts";

/** Sizes with the order that deepcompressor picks, and sizes it refuses (.github/ALGORITHMS.md#hadamard). */
const ORDERS: readonly (readonly [size: number, order: number])[] = [
  [4096, 1],
  [5120, 40],
  [20, 20],
  [80, 40],
  [6656, 52],
  [11008, 172],
  [13824, 108],
  [14336, 28],
  [896, 28],
  [1536, 12],
  [2304, 36],
  [8960, 140],
  [120, 60],
  [312, 156],
  [4864, 76],
  [5632, 44],
  [18944, 148],
  [2688, 84],
  [1600, 100],
];

for (const [size, order] of ORDERS) {
  Deno.test(`hadamardFactor() of ${size} has order ${order}`, () => {
    const factor = hadamardFactor(size);
    assert.equal(factor.order, order);
    assert.equal(factor.signs.length, order ** 2);
  });
}

Deno.test("left factors are deepcompressor's, by the formulas of .github/ALGORITHMS.md#hadamard", () => {
  for (const order of [12, 20, 60, 108, 140]) {
    assertEntries(order, (i, j) => {
      if (j === 0) return 1;
      if (i === 0) return -1;
      return i === j ? 1 : -legendre(j - i, order - 1);
    });
  }
  for (const order of [28, 36]) {
    const half = order / 2;
    const conference = (i: number, j: number) =>
      i === j ? 0 : i === 0 || j === 0 ? 1 : legendre(j - i, half - 1);
    const identity = (i: number, j: number) => i === j ? 1 : 0;
    assertEntries(order, (i, j) => {
      const [c, e] = [conference(i % half, j % half), identity(i % half, j % half)];
      if (i >= half && j >= half) return -c - e;
      return i < half && j < half ? c + e : c - e;
    });
  }
  const twenty = hadamardFactor(20).signs;
  assertEntries(40, (i, j) => (i >= 20 && j >= 20 ? -1 : 1) * twenty[i % 20 * 20 + j % 20]!);
});

/** The first row of the whole matrix: the first rows of blocks A to D. */
const WILLIAMSON: Readonly<Record<number, string>> = {
  52: "+-+--++++--+-" +
    "+---++++++---" +
    "++-+--++--+-+" +
    "+----+--+----",
  156: "+++--+-+-----+--++----++--+-----+-+--++" +
    "++++---+--++----+-+--+-+----++--+---+++" +
    "+++--++-+---+-+--+----+--+-+---+-++--++" +
    "+---++-+-+-----+++-++-+++-----+-+-++---",
  172: "+---++--++++-+-+++-++--++-+++-+-++++--++---" +
    "++-++++++----+-+--++-++-++--+-+----++++++-+" +
    "+++-+-++--+-+-++++-+----+-++++-+-+--++-+-++" +
    "++---++++-+--+--++--------++--+--+-++++---+",
};

Deno.test("Williamson's factors are circulants in his array, with deepcompressor's first rows", () => {
  const array = ["ABCD", "bAdC", "cDAb", "dcBA"];
  for (const [key, text] of Object.entries(WILLIAMSON)) {
    const order = Number(key);
    const size = order / 4;
    assert.equal(text.length, order);
    assertEntries(order, (i, j) => {
      const letter = array[Math.floor(i / size)]![Math.floor(j / size)]!;
      const block = "ABCD".indexOf(letter.toUpperCase());
      const entry = text[block * size + (j - i + order) % size] === "+" ? 1 : -1;
      return letter === letter.toUpperCase() ? entry : -entry;
    });
  }
});

Deno.test("applyHadamard() gives the golden vector of .github/ALGORITHMS.md#hadamard", () => {
  const row = Float64Array.from({ length: 12 }, (_, i) => i + 1);
  applyHadamard(row, hadamardFactor(12));
  const golden = "-21.93931023 4.04145188 1.15470054 4.61880215 1.73205081 -1.15470054 " +
    "-4.04145188 -0.57735027 2.88675135 6.35085296 3.46410162 6.92820323";
  assert.equal([...row].map((value) => value.toFixed(8)).join(" "), golden);
});

for (const size of [1, 2, 16, 12, 40, 72, 96, 344]) {
  Deno.test(`applyHadamard() of ${size} is kron(L^T, S) / sqrt(${size}) along rows and columns`, () => {
    const factor = hadamardFactor(size);
    const matrix = dense(size);
    for (const inner of [1, 3, 37]) {
      const values = random(2 * size * inner);
      const at = (block: number, i: number, lane: number) => (block * size + i) * inner + lane;
      const forth = values.slice();
      applyHadamard(forth, factor, { inner });
      for (const [block, lane, j] of [[0, 0, 0], [1, inner - 1, size - 1], [1, 0, size >> 1]]) {
        let sum = 0;
        for (let i = 0; i < size; i++) {
          sum += values[at(block!, i, lane!)]! * matrix[i * size + j!]!;
        }
        assert.ok(Math.abs(sum - forth[at(block!, j!, lane!)]!) < 1e-12);
      }
      applyHadamard(forth, factor, { inner, transposed: true });
      values.forEach((value, i) => assert.ok(Math.abs(value - forth[i]!) < 1e-12));
    }
  });
}

Deno.test("applyHadamard() turns a lone outlier into equal magnitudes", () => {
  const row = new Float32Array(768);
  row[300] = 48;
  applyHadamard(row, hadamardFactor(768));
  const expected = Math.fround(48 / Math.sqrt(768));
  row.forEach((value) => assert.equal(Math.abs(value), expected));
});

const REFUSED: readonly (readonly [size: number, message: RegExp])[] = [
  [1234, /^RangeError: Cannot rotate size 1234: its factor 617 stands beside 2 only, .*expected/],
  [
    13696,
    /^RangeError: Cannot rotate size 13696: its factor 107 has no Hadamard matrix .*expected/,
  ],
  [188, /its factor 47 has no Hadamard matrix/],
  [0, /Cannot rotate size 0: expected a positive whole number/],
  [2.5, /Cannot rotate size 2.5: expected a positive whole number/],
];

for (const [size, message] of REFUSED) {
  Deno.test(`hadamardFactor() refuses ${size}`, () => {
    assert.throws(() => hadamardFactor(size), message);
  });
}

function assertEntries(order: number, entry: (i: number, j: number) => number): void {
  const { signs } = hadamardFactor(order);
  signs.forEach((sign, at) => {
    const [i, j] = [Math.floor(at / order), at % order];
    if (sign !== entry(i, j)) assert.fail(`entry ${i}, ${j} of ${order} is ${sign}`);
  });
}

/** Euler's criterion. */
function legendre(value: number, prime: number): number {
  const base = (value % prime + prime) % prime;
  let power = base === 0 ? 0 : 1;
  for (let i = 0; i < (prime - 1) / 2; i++) power = power * base % prime;
  return power === prime - 1 ? -1 : power;
}

/** kron(L^T, S) / sqrt(size), entry by entry. */
function dense(size: number): Float64Array {
  const { order, signs } = hadamardFactor(size);
  const right = size / order;
  return Float64Array.from({ length: size ** 2 }, (_, at) => {
    const [i, j] = [Math.floor(at / size), at % size];
    const shared = ((i % right) & (j % right)).toString(2).replaceAll("0", "").length;
    const left = signs[Math.floor(j / right) * order + Math.floor(i / right)]!;
    return left * (-1) ** shared / Math.sqrt(size);
  });
}

function random(count: number): Float64Array {
  const source = normals(`hadamard ${count}`);
  return Float64Array.from({ length: count }, () => source.next().value);
}
