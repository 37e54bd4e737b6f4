import { createCheckpointWriter } from "../../stages/formats/checkpoint_writer.ts";
import { bytesOf } from "../../stages/formats/half.ts";
import { openDirectory } from "../../stages/formats/safetensors/directory.ts";
import type { SafetensorsDType } from "../../stages/formats/safetensors/header.ts";

/** Changes to an export. */
export interface Edit {
  /** Keys of `quantization_config` to set; without it altogether where that is undefined. */
  readonly config?: Readonly<Record<string, unknown>> | undefined;
  /** Other files to copy. */
  readonly keep?: readonly string[];
  /** Changes tensors in place. */
  tensors?(tensors: Map<string, Stored>): void;
}

/** A tensor of a file. */
export interface Stored {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

const ARRAYS = { I32: Int32Array, I16: Int16Array, F16: Float16Array } as const;

/** Sets a value of a tensor. */
export function setValue(name: string, at: number, value: number): Edit {
  return {
    tensors: (tensors) => {
      const { dtype, shape, bytes } = tensors.get(name)!;
      const values = new ARRAYS[dtype as "I32"](bytes.slice().buffer);
      values[at] = value;
      tensors.set(name, { dtype, shape, bytes: bytesOf(values) });
    },
  };
}

/** Adds a tensor, or puts it in another's place. */
export function add(
  name: string,
  dtype: SafetensorsDType,
  shape: readonly number[],
  values: ArrayBufferView,
): Edit {
  return { tensors: (tensors) => void tensors.set(name, { dtype, shape, bytes: bytesOf(values) }) };
}

/** Writes an export anew with changes. */
export async function edited(from: string, to: string, edit: Edit): Promise<string> {
  using checkpoint = await openDirectory(from);
  const tensors = new Map<string, Stored>();
  for (const [name, { dtype, shape }] of checkpoint.tensors) {
    const bytes = await checkpoint.readRaw(name);
    tensors.set(name, { dtype: dtype as SafetensorsDType, shape, bytes });
  }
  edit.tensors?.(tensors);
  const specifications = [...tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  using writer = await createCheckpointWriter(to, specifications);
  for (const [name, { bytes }] of tensors) await writer.write(name, bytes);
  await writer.close();
  const { quantization_config, ...config } = checkpoint.config as Record<string, object>;
  const said = "config" in edit && edit.config === undefined
    ? {}
    : { quantization_config: { ...quantization_config, ...edit.config } };
  await Deno.writeTextFile(`${to}/config.json`, JSON.stringify({ ...config, ...said }));
  for (const name of edit.keep ?? []) await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  return to;
}
