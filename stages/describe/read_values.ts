import { ByteFile } from "../formats/byte_file.ts";
import type { SafetensorsDType } from "../formats/safetensors/header.ts";
import { widenBf16, widenF16, widenF32 } from "../formats/widen.ts";
import type { FoundTensor } from "../formats/safetensors/found_files.ts";

/** A multiple of every element's size, small beside what a machine has. */
const PIECE_BYTES = 2 ** 24;

/** Element types whose values are read as numbers that may be none. */
const FLOATS: Partial<
  Record<SafetensorsDType, (bytes: Uint8Array) => Float32Array<ArrayBuffer>>
> = { F32: widenF32, F16: widenF16, BF16: widenBf16 };

/** Whether a tensor's values can be read. */
export function isFloat({ dtype }: Pick<FoundTensor, "dtype">): boolean {
  return FLOATS[dtype] !== undefined;
}

/** The values of a floating-point tensor, piece by piece. */
export async function* readValues(
  { dtype, file, start, end }: FoundTensor,
): AsyncGenerator<Float32Array<ArrayBuffer>> {
  const widen = FLOATS[dtype];
  if (widen === undefined) throw new TypeError(`Cannot read values of ${dtype}, expected floats`);
  using bytes = await ByteFile.open(file);
  for (let at = start; at < end; at += PIECE_BYTES) {
    yield widen(await bytes.read(at, Math.min(end, at + PIECE_BYTES)));
  }
}
