/** Where a block lies and where its values go; `halves` are the same bytes as half precision. */
export interface GgmlBlock {
  readonly bytes: Uint8Array;
  readonly halves: Float16Array;
  readonly at: number;
  readonly values: Float32Array;
  readonly to: number;
}

/** Writes the values of one block. */
export type ReadBlock = (block: GgmlBlock) => void;

/** Values of blocks that follow each other, each of so many elements in so many bytes. */
export function blockValues(
  bytes: Uint8Array,
  { elements, bytes: size }: { readonly elements: number; readonly bytes: number },
  read: ReadBlock,
): Float32Array<ArrayBuffer> {
  const own = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  const halves = new Float16Array(own.buffer, own.byteOffset, own.length >> 1);
  const values = new Float32Array(own.length / size * elements);
  for (let at = 0, to = 0; at < own.length; at += size, to += elements) {
    read({ bytes: own, halves, at, values, to });
  }
  return values;
}

/** The 16 values of a 4-bit code in `IQ4_NL` and `IQ4_XS`: `kvalues_iq4nl` of ggml-common.h. */
export const IQ4_VALUES = Int8Array.of(
  ...[-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113],
);
