/** How ggml stores values: blocks of so many elements in so many bytes. */
export interface GgmlType {
  readonly name: string;
  readonly elements: number;
  readonly bytes: number;
}

/** The types of ggml by the number a GGUF file writes, with elements and bytes of a block. */
const GGML_TYPES: Readonly<Record<number, readonly [string, elements: number, bytes: number]>> = {
  0: ["F32", 1, 4],
  1: ["F16", 1, 2],
  2: ["Q4_0", 32, 18],
  3: ["Q4_1", 32, 20],
  6: ["Q5_0", 32, 22],
  7: ["Q5_1", 32, 24],
  8: ["Q8_0", 32, 34],
  9: ["Q8_1", 32, 40],
  10: ["Q2_K", 256, 84],
  11: ["Q3_K", 256, 110],
  12: ["Q4_K", 256, 144],
  13: ["Q5_K", 256, 176],
  14: ["Q6_K", 256, 210],
  15: ["Q8_K", 256, 292],
  16: ["IQ2_XXS", 256, 66],
  17: ["IQ2_XS", 256, 74],
  18: ["IQ3_XXS", 256, 98],
  19: ["IQ1_S", 256, 50],
  20: ["IQ4_NL", 32, 18],
  21: ["IQ3_S", 256, 110],
  22: ["IQ2_S", 256, 82],
  23: ["IQ4_XS", 256, 136],
  24: ["I8", 1, 1],
  25: ["I16", 1, 2],
  26: ["I32", 1, 4],
  27: ["I64", 1, 8],
  28: ["F64", 1, 8],
  29: ["IQ1_M", 256, 56],
  30: ["BF16", 1, 2],
  34: ["TQ1_0", 256, 54],
  35: ["TQ2_0", 256, 66],
  39: ["MXFP4", 32, 17],
  40: ["NVFP4", 64, 36],
  41: ["Q1_0", 128, 18],
};

/**
 * What llama.cpp calls a mixture of types (`llama_ftype`), by the number in `general.file_type`: the
 * type that most weights have, and how much of others there is.
 */
export const FILE_TYPES: Readonly<Record<number, string>> = {
  0: "F32",
  1: "F16",
  2: "Q4_0",
  3: "Q4_1",
  7: "Q8_0",
  8: "Q5_0",
  9: "Q5_1",
  10: "Q2_K",
  11: "Q3_K_S",
  12: "Q3_K_M",
  13: "Q3_K_L",
  14: "Q4_K_S",
  15: "Q4_K_M",
  16: "Q5_K_S",
  17: "Q5_K_M",
  18: "Q6_K",
  32: "BF16",
};

/** The type a GGUF file writes as this number, if there is one. */
export function ggmlType(id: number): GgmlType | undefined {
  const type = GGML_TYPES[id];
  return type && { name: type[0], elements: type[1], bytes: type[2] };
}

const NUMBERS: ReadonlyMap<string, number> = new Map(
  Object.entries(GGML_TYPES).map(([id, [name]]) => [name, Number(id)]),
);

/** The number a GGUF file writes for a type; throws a `TypeError` where ggml has none of this name. */
export function ggmlTypeNumber(name: string): number {
  const number = NUMBERS.get(name);
  if (number !== undefined) return number;
  throw new TypeError(`Cannot write ${name} to a GGUF file: ggml has no such type, expected one`);
}

/** Bytes of a tensor of a type; throws a `RangeError` where its rows are no whole blocks. */
export function ggmlBytes(name: string, shape: readonly number[]): number {
  const { elements, bytes } = ggmlType(ggmlTypeNumber(name))!;
  const width = shape.at(-1) ?? 1;
  if (width % elements !== 0) {
    throw new RangeError(
      `Cannot lay out rows of ${width} in ${name}: expected a multiple of ${elements}`,
    );
  }
  return shape.reduce((count, size) => count * size, 1) / elements * bytes;
}
