import { ByteFile } from "../byte_file.ts";
import { bytesOf } from "../half.ts";
import { release } from "../../../kernels/device/release.ts";
import { findTensor } from "../rows.ts";
import { parseHeader, type SafetensorsDType, type TensorEntry } from "./header.ts";
import { SafetensorsWriter } from "./writer.ts";

/** Values of a tensor as they lie in a file. */
export type StoredValues =
  | Float32Array<ArrayBuffer>
  | Float16Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>;

const ARRAYS = {
  F32: Float32Array,
  F16: Float16Array,
  U32: Uint32Array,
  U8: Uint8Array,
  I8: Int8Array,
};

/** Values with their shape, to be written. */
export interface NamedValues {
  readonly shape: readonly number[];
  readonly values: StoredValues;
}

/** The same in pieces, one after another, which nobody keeps once they are written. */
export interface PiecedValues {
  readonly shape: readonly number[];
  readonly dtype: SafetensorsDType;
  pieces(): AsyncIterable<StoredValues>;
}

/** A safetensors file opened for reading a tensor at a time. */
export interface SafetensorsFile extends Disposable {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** All values of a tensor; throws a `TypeError` where there is none of this name. */
  read(name: string): Promise<StoredValues>;
}

/** Opens a safetensors file whose tensors are F32, F16, U32, U8 or I8. */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const file = ByteFile.open(path);
  try {
    const { tensors } = await parseHeader(file);
    return {
      tensors,
      async read(name) {
        const { dtype, start, end } = findTensor(tensors, name, path);
        const { buffer } = await file.read(start, end);
        return new (arrayOf(dtype, name, path))(buffer);
      },
      [Symbol.dispose]: () => file[Symbol.dispose](),
    };
  } catch (error) {
    file[Symbol.dispose]();
    throw error;
  }
}

/** Writes a safetensors file whole; pieces are given back as they are written. */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, NamedValues | PiecedValues>,
): Promise<void> {
  const specifications = [...tensors].map(([name, tensor]) => {
    const dtype = "pieces" in tensor ? tensor.dtype : dtypeOf(tensor.values);
    return { name, dtype, shape: tensor.shape };
  });
  using writer = await SafetensorsWriter.create(path, specifications);
  for (const [name, tensor] of tensors) {
    if (!("pieces" in tensor)) {
      await writer.write(name, bytesOf(tensor.values));
      continue;
    }
    for await (const piece of tensor.pieces()) {
      await writer.write(name, bytesOf(piece));
      release(piece);
    }
  }
  await writer.close();
}

/** The element type of values as safetensors files name it. */
export function dtypeOf(values: StoredValues): SafetensorsDType {
  const found = Object.entries(ARRAYS).find(([, array]) => values instanceof array);
  return found![0] as SafetensorsDType;
}

function arrayOf(dtype: SafetensorsDType, name: string, path: string) {
  if (dtype in ARRAYS) return ARRAYS[dtype as keyof typeof ARRAYS];
  throw new TypeError(
    `Cannot read tensor "${name}" of "${path}": it is ${dtype}, expected one of ${
      Object.keys(ARRAYS).join(", ")
    }`,
  );
}
