/** How integers of a few bits lie in 32-bit words: row by row, the first one lowest, without gaps. */
export interface BitRows {
  readonly rows: number;
  readonly columns: number;
  readonly bits: number;
  /** What is added to a value before it is stored, which makes signed values unsigned. */
  readonly offset: number;
}

/** Words of a row, in which an integer may begin in one and end in the next. */
export function wordsOf(columns: number, bits: number): number {
  return Math.ceil(columns * bits / 32);
}

/** Packs values [rows, columns] into words [rows, wordsOf(columns)], as compressed-tensors does. */
export function packRows(
  values: Int8Array | Uint8Array,
  { rows, columns, bits, offset }: BitRows,
): Int32Array<ArrayBuffer> {
  const words = new Int32Array(rows * wordsOf(columns, bits));
  const mask = 2 ** bits - 1;
  let [from, to] = [0, 0];
  for (let row = 0; row < rows; row++) {
    let [word, filled] = [0, 0];
    for (let c = 0; c < columns; c++) {
      const value = values[from++]! + offset & mask;
      word |= value << filled;
      filled += bits;
      if (filled < 32) continue;
      words[to++] = word;
      filled -= 32;
      word = filled === 0 ? 0 : value >>> bits - filled;
    }
    if (filled > 0) words[to++] = word;
  }
  return words;
}

/** The values that `packRows()` packed, into `out` [rows, columns]; throws where bits are left over. */
export function unpackRows<Values extends Int8Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>(
  words: Int32Array,
  out: Values,
  { rows, columns, bits, offset }: BitRows,
): Values {
  const width = wordsOf(columns, bits);
  const mask = 2 ** bits - 1;
  let to = 0;
  for (let row = 0; row < rows; row++) {
    let at = row * width;
    let first = 0;
    for (let c = 0; c < columns; c++) {
      let value = words[at]! >>> first;
      if (first + bits > 32) value |= words[at + 1]! << 32 - first;
      out[to++] = (value & mask) - offset;
      first += bits;
      if (first < 32) continue;
      first -= 32;
      at++;
    }
    if (first > 0 && words[at]! >>> first !== 0) {
      throw new RangeError(
        `word ${at - row * width} of row ${row} has bits behind its last value, expected none`,
      );
    }
  }
  return out;
}

/** The columns of a matrix [rows, columns] as rows. */
export function transposed<Values extends Int8Array | Uint8Array | Int32Array>(
  values: Values,
  { rows, columns }: { readonly rows: number; readonly columns: number },
): Values {
  const turned = values.slice() as Values;
  for (let row = 0; row < rows; row++) {
    for (let c = 0; c < columns; c++) turned[c * rows + row] = values[row * columns + c]!;
  }
  return turned;
}
