import { WIDEN } from "../widen.ts";
import { blockValues, type ReadBlock } from "./block_values.ts";
import { ggmlType, ggmlTypeNumber } from "./ggml_types.ts";
import { SMALL_BLOCKS } from "./small_blocks.ts";
import { SUPER_BLOCKS } from "./super_blocks.ts";

const BLOCKS: Readonly<Record<string, ReadBlock>> = { ...SMALL_BLOCKS, ...SUPER_BLOCKS };

/** Names of the ggml types whose values can be read. */
export const READABLE: readonly string[] = [...Object.keys(WIDEN), ...Object.keys(BLOCKS)];

/** Values of whole blocks of a readable ggml type, bit for bit what ggml computes. */
export function dequantizeBlocks(type: string, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const widen = WIDEN[type];
  if (widen) return widen(bytes);
  const read = BLOCKS[type];
  if (read) return blockValues(bytes, ggmlType(ggmlTypeNumber(type))!, read);
  throw new TypeError(`Cannot dequantize ${type}: expected one of ${READABLE.join(", ")}`);
}
