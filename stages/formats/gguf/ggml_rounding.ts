import { codeBlocks, type CodeType } from "./ggml_codes.ts";

const BLOCK = 32;

/**
 * Values in blocks of 32, rounded as ggml's reference functions do: `quantize_row_q8_0_ref`,
 * `quantize_row_q4_0_ref` and `quantize_row_q4_1_ref` of ggml-quants.c, in single precision.
 *
 * Throws a `RangeError` where a scale is more than half precision holds.
 */
export function ggmlRounded(type: CodeType, values: Float32Array): Uint8Array<ArrayBuffer> {
  const blocks = values.length / BLOCK;
  const scales = new Float16Array(blocks);
  const zeros = new Float16Array(blocks);
  const unsigned = new Uint8Array(values.length);
  const signed = new Int8Array(unsigned.buffer);
  const round = ROUND[type];
  for (let block = 0; block < blocks; block++) {
    round({ values, codes: type === "Q4_1" ? unsigned : signed, scales, zeros, block });
  }
  if (!scales.every(Number.isFinite) || !zeros.every(Number.isFinite)) {
    throw new RangeError(
      `Cannot round values to ${type}: a scale is more than half precision holds, expected at most 65504`,
    );
  }
  const codes = type === "Q4_1" ? unsigned : signed;
  return codeBlocks(type, { codes, group: BLOCK, scales, ...type === "Q4_1" && { zeros } });
}

/** Where the codes, the scale and the zero of one block go. */
interface Place {
  readonly values: Float32Array;
  readonly codes: Int8Array | Uint8Array;
  readonly scales: Float16Array;
  readonly zeros: Float16Array;
  readonly block: number;
}

const ROUND: Readonly<Record<CodeType, (place: Place) => void>> = {
  Q8_0: q8_0,
  Q4_0: q4_0,
  Q4_1: q4_1,
};

function q8_0({ values, codes, scales, block }: Place): void {
  const from = block * BLOCK;
  let most = 0;
  for (let i = from; i < from + BLOCK; i++) most = Math.max(most, Math.abs(values[i]!));
  const scale = Math.fround(most / 127);
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  scales[block] = scale;
  for (let i = from; i < from + BLOCK; i++) {
    const code = Math.fround(values[i]! * inverse);
    // Halves go away from zero; single precision holds each sum with a half exactly.
    codes[i] = code < 0 ? Math.ceil(code - 0.5) : Math.floor(code + 0.5);
  }
}

function q4_0({ values, codes, scales, block }: Place): void {
  const from = block * BLOCK;
  let [most, signed] = [0, 0];
  for (let i = from; i < from + BLOCK; i++) {
    const size = Math.abs(values[i]!);
    if (size > most) [most, signed] = [size, values[i]!];
  }
  const scale = Math.fround(signed / -8);
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  scales[block] = scale;
  for (let i = from; i < from + BLOCK; i++) {
    const code = Math.trunc(Math.fround(Math.fround(values[i]! * inverse) + 8.5));
    codes[i] = Math.min(15, code) - 8;
  }
}

function q4_1({ values, codes, scales, zeros, block }: Place): void {
  const from = block * BLOCK;
  let [least, most] = [Infinity, -Infinity];
  for (let i = from; i < from + BLOCK; i++) {
    const value = values[i]!;
    if (value < least) least = value;
    if (value > most) most = value;
  }
  const scale = Math.fround(Math.fround(most - least) / 15);
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  scales[block] = scale;
  zeros[block] = -least;
  for (let i = from; i < from + BLOCK; i++) {
    const steps = Math.fround(Math.fround(values[i]! - least) * inverse);
    codes[i] = Math.min(15, Math.trunc(Math.fround(steps + 0.5)));
  }
}
