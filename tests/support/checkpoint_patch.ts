import { bytesOf } from "../../stages/formats/half.ts";

/** Changes the bytes of one tensor of a checkpoint in a single safetensors file, in place. */
export async function patchTensor(
  directory: string,
  name: string,
  change: (bytes: Uint8Array) => unknown,
): Promise<void> {
  const path = `${directory}/model.safetensors`;
  const file = await Deno.readFile(path);
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
  const [start, end] = header[name].data_offsets;
  change(file.subarray(8 + length + start, 8 + length + end));
  await Deno.writeFile(path, file);
}

/** Puts other values at the start of a tensor of such a checkpoint. */
export async function overwrite(
  directory: string,
  name: string,
  values: ArrayBufferView,
): Promise<void> {
  await patchTensor(directory, name, (bytes) => bytes.set(bytesOf(values)));
}

/** Changes `config.json`. */
export async function editConfig(
  directory: string,
  edit: (config: Record<string, unknown>) => void,
): Promise<void> {
  const path = `${directory}/config.json`;
  const config = JSON.parse(await Deno.readTextFile(path));
  edit(config);
  await Deno.writeTextFile(path, JSON.stringify(config));
}
