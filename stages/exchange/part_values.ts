import type { Checkpoint } from "../formats/checkpoint.ts";
import { widenBf16 } from "../formats/widen.ts";

/** Values of a part as they lie in a file; bfloat16 comes as single precision. */
export type PartValues =
  | Int8Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | Float16Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>;

/** The parts of a linear that are there, by their names. */
export type LinearParts = Readonly<Record<string, PartValues>>;

const READ: Readonly<Record<string, (bytes: Uint8Array<ArrayBuffer>) => PartValues>> = {
  I8: ({ buffer }) => new Int8Array(buffer),
  U8: (bytes) => bytes,
  I16: ({ buffer }) => new Int16Array(buffer),
  I32: ({ buffer }) => new Int32Array(buffer),
  U32: ({ buffer }) => new Uint32Array(buffer),
  I64: ({ buffer }) => new BigInt64Array(buffer),
  F16: ({ buffer }) => new Float16Array(buffer),
  F32: ({ buffer }) => new Float32Array(buffer),
  BF16: widenBf16,
};

/** All values of a tensor; undefined where the checkpoint has none of this name. */
export async function readPart(
  checkpoint: Checkpoint,
  name: string,
): Promise<PartValues | undefined> {
  const tensor = checkpoint.tensors.get(name);
  if (tensor === undefined) return undefined;
  const read = READ[tensor.dtype];
  if (read) return read(await checkpoint.readRaw(name));
  throw new TypeError(
    `Cannot read tensor "${name}" of "${tensor.file}": it is ${tensor.dtype}, expected one of ${
      Object.keys(READ).join(", ")
    }`,
  );
}
