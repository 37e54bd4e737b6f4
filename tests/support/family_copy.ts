import { fileURLToPath } from "node:url";
import { ReferenceDevice } from "../../kernels/device/reference.ts";
import {
  readHeader,
  type SafetensorsDType,
  type TensorSpecification,
} from "../../stages/formats/safetensors/header.ts";
import { SafetensorsWriter } from "../../stages/formats/safetensors/writer.ts";
import { bytesOf } from "../../stages/formats/half.ts";
import { Model } from "../../stages/models/model.ts";
import { logitsOf } from "./forward_pass.ts";

const FOLDER = fileURLToPath(new URL("../testdata/families", import.meta.url));

/** A tensor to write. */
export interface CopiedTensor {
  dtype: SafetensorsDType;
  shape: readonly number[];
  bytes: Uint8Array;
}

/** What a copy has otherwise than its original. */
export interface FamilyChange {
  readonly config?: Readonly<Record<string, unknown>>;
  /** Changes, adds and removes tensors; all are in single precision. */
  edit?(tensors: Map<string, CopiedTensor>): void;
}

/** Writes a model of `testdata/families` with something changed; a key set to undefined goes. */
export async function copyFamily(
  directory: string,
  family: string,
  { config, edit }: FamilyChange = {},
): Promise<void> {
  const source = `${FOLDER}/${family}`;
  const json = JSON.parse(await Deno.readTextFile(`${source}/config.json`));
  await Deno.writeTextFile(`${directory}/config.json`, JSON.stringify({ ...json, ...config }));
  const tensors = await readTensors(`${source}/model.safetensors`);
  edit?.(tensors);
  await writeTensors(`${directory}/model.safetensors`, tensors);
}

/** Writes tensors to a file. */
export async function writeTensors(
  path: string,
  tensors: ReadonlyMap<string, CopiedTensor>,
): Promise<void> {
  const specifications = [...tensors].map(([name, { dtype, shape }]): TensorSpecification => (
    { name, dtype, shape }
  ));
  using writer = await SafetensorsWriter.create(path, specifications);
  for (const [name, { bytes }] of tensors) await writer.write(name, bytes);
  await writer.close();
}

/** Tensors of a file with their bytes. */
export async function readTensors(path: string): Promise<Map<string, CopiedTensor>> {
  const { tensors } = await readHeader(path);
  const bytes = await Deno.readFile(path);
  return new Map(
    [...tensors].map(([name, { dtype, shape, start, end }]) => [
      name,
      { dtype, shape, bytes: bytes.slice(start, end) },
    ]),
  );
}

/** Single-precision values with their shape. */
export function floatTensor(
  shape: readonly number[],
  values: Float32Array<ArrayBuffer>,
): CopiedTensor {
  return { dtype: "F32", shape, bytes: bytesOf(values) };
}

/** Values of a tensor in single precision. */
export function valuesOf({ bytes }: CopiedTensor): Float32Array<ArrayBuffer> {
  return new Float32Array(bytes.slice().buffer);
}

/** Some ids, and the logits that transformers computes of them. */
export async function familyLogits(
  family: string,
): Promise<{ ids: number[]; logits: Float32Array }> {
  const tensors = await readTensors(`${FOLDER}/${family}/expected.st`);
  const part = (name: string) => tensors.get(name)!.bytes.slice().buffer;
  return { ids: [...new Int32Array(part("ids"))], logits: new Float32Array(part("logits")) };
}

/** What a model makes of the ids of a family's logits, by the host's references. */
export async function logitsHere(path: string, family: string): Promise<Float32Array> {
  const { ids } = await familyLogits(family);
  await using device = new ReferenceDevice();
  using model = await Model.open(path, device, { weightBytes: Infinity });
  return await logitsOf(device, model, ids);
}
