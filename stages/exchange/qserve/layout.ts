/** Outputs and inputs of a tile: what one warp of QServe's W4A8 kernels takes at once. */
export const TILE = 32;
/** Bytes of a tile: outputs n and n + 16 share a byte. */
const TILE_BYTES = TILE * TILE / 2;

/**
 * Codes [rows, columns] as QServe's kernels read them, flat bytes of `qweight` i8 [rows, columns / 2]
 * (.github/ALGORITHMS.md#tiles): tiles of 32 x 32, output tile major; in a tile output n = 16 hi +
 * 8 np + nl and input k = 16 kp + 4 kl + kr lie at byte 64 nl + 16 kl + 8 kp + 4 np + kr, in nibble hi.
 *
 * `shift` is added to every code, which makes signed codes unsigned.
 */
export function packTiles(
  codes: Int8Array | Uint8Array,
  { rows, columns, shift = 0 }: {
    readonly rows: number;
    readonly columns: number;
    readonly shift?: number;
  },
): Uint8Array<ArrayBuffer> {
  const packed = new Uint8Array(rows * columns / 2);
  const upper = 16 * columns;
  for (const [row, at] of tileRows({ rows, columns })) {
    for (let i = 0; i < TILE; i++) {
      packed[at + byteOf(i)] = codes[row + i]! + shift & 15 | codes[row + upper + i]! + shift << 4;
    }
  }
  return packed;
}

/** The codes [rows, columns] that `packTiles` packed, 0 to 15. */
export function unpackTiles(
  packed: Uint8Array,
  { rows, columns }: { readonly rows: number; readonly columns: number },
): Uint8Array<ArrayBuffer> {
  const codes = new Uint8Array(rows * columns);
  const upper = 16 * columns;
  for (const [row, at] of tileRows({ rows, columns })) {
    for (let i = 0; i < TILE; i++) {
      const byte = packed[at + byteOf(i)]!;
      codes[row + i] = byte & 15;
      codes[row + upper + i] = byte >> 4;
    }
  }
  return codes;
}

/** Where 32 inputs of an output in the upper half of a tile begin, among codes and among bytes. */
function* tileRows(
  { rows, columns }: { readonly rows: number; readonly columns: number },
): Generator<readonly [code: number, byte: number]> {
  for (let n = 0; n < rows; n += TILE) {
    for (let k = 0; k < columns; k += TILE) {
      const tile = n * columns / 2 + k / TILE * TILE_BYTES;
      for (let low = 0; low < 16; low++) {
        yield [(n + low) * columns + k, tile + (low & 7) * 64 + (low >> 3) * 4];
      }
    }
  }
}

/** The byte of input i within those of an output in a tile. */
function byteOf(i: number): number {
  return (i >> 2 & 3) * 16 + (i >> 4) * 8 + (i & 3);
}

/**
 * Integers of groups [rows, groups] as `s2_scales` and `s2_zeros` hold them, i8 [groups, rows]: within
 * 32 outputs in the order 0, 8, 16, 24, 1, 9, ..., times `sign` (.github/ALGORITHMS.md#group-order).
 *
 * A lane of the kernel takes four bytes that follow each other for the outputs nl, nl + 8, nl + 16,
 * nl + 24. DeepCompressor's converter has another order since February 2025, which no kernel reads.
 */
export function packGroups(
  values: Uint8Array | Int8Array,
  { rows, sign }: { readonly rows: number; readonly sign: 1 | -1 },
): Int8Array<ArrayBuffer> {
  const groups = values.length / rows;
  const packed = new Int8Array(values.length);
  for (let group = 0; group < groups; group++) {
    for (let at = 0; at < rows; at++) {
      packed[group * rows + at] = sign * values[outputAt(at) * groups + group]!;
    }
  }
  return packed;
}

/** Stored integers i8 [groups, rows] in the order of outputs, [rows, groups]. */
export function unpackGroups(
  packed: Int8Array,
  { rows }: { readonly rows: number },
): Int8Array<ArrayBuffer> {
  const groups = packed.length / rows;
  const values = new Int8Array(packed.length);
  for (let group = 0; group < groups; group++) {
    for (let at = 0; at < rows; at++) {
      values[outputAt(at) * groups + group] = packed[group * rows + at]!;
    }
  }
  return values;
}

/** The output at a stored position: position 32 t + 4 nl + j holds output 32 t + 8 j + nl. */
function outputAt(position: number): number {
  const within = position % TILE;
  return position - within + 8 * (within & 3) + (within >> 2);
}
