import type { Checkpoint, RowRange } from "../formats/checkpoint.ts";
import { packedParts, type PackedWeight } from "../quant/packed.ts";
import type { WeightScheme } from "../quant/schemes.ts";

const ARRAYS = { U32: Uint32Array, F16: Float16Array, U8: Uint8Array, I8: Int8Array } as const;

/** Reads some rows of a quantized weight of a model artifact. */
export async function readPacked(
  checkpoint: Checkpoint,
  name: string,
  scheme: WeightScheme,
  rows?: RowRange,
): Promise<PackedWeight> {
  const shape = { rows: 1, columns: 1, groups: 1 };
  const read = packedParts(scheme, shape).map(async ({ part, dtype }) => {
    const bytes = await checkpoint.readRaw(`${name}.${part}`, rows);
    return [part, new ARRAYS[dtype](bytes.slice().buffer)] as const;
  });
  return Object.fromEntries(await Promise.all(read)) as unknown as PackedWeight;
}
